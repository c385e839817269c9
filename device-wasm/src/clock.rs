//! Milliseconds for timings, from the browser's clock or the machine's.

/// Milliseconds since some fixed moment; only differences mean something.
#[must_use]
#[cfg(target_arch = "wasm32")]
pub fn now_ms() -> f64 {
    use wasm_bindgen::prelude::wasm_bindgen;

    // `performance` exists in pages and in workers alike, but hangs on different types.
    #[wasm_bindgen]
    extern "C" {
        #[wasm_bindgen(js_namespace = performance)]
        fn now() -> f64;
    }
    now()
}

/// Milliseconds since some fixed moment; only differences mean something.
#[must_use]
#[cfg(not(target_arch = "wasm32"))]
pub fn now_ms() -> f64 {
    use std::sync::LazyLock;
    use std::time::Instant;

    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed().as_secs_f64() * 1e3
}

/// Measures consecutive steps.
#[derive(Debug)]
pub struct Stopwatch {
    last: f64,
}

impl Stopwatch {
    /// Starts the first step.
    #[must_use]
    pub fn start() -> Self {
        Self { last: now_ms() }
    }

    /// Ends a step and starts the next; returns the milliseconds of the one that ended.
    pub fn lap(&mut self) -> f64 {
        let now = now_ms();
        let step = now - self.last;
        self.last = now;
        step
    }
}
