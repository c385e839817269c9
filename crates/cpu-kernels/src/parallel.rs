//! Work on the parts of a buffer, on all cores where there are threads.

#[cfg(not(target_family = "wasm"))]
use std::sync::Arc;
#[cfg(not(target_family = "wasm"))]
use std::sync::atomic::{AtomicBool, Ordering};

#[cfg(target_os = "linux")]
use rustix::thread::CpuSet;

/// Calls `work` with the index and the values of each `length` values of `values`; the last part
/// may be shorter.
#[cfg(not(target_family = "wasm"))]
pub(crate) fn for_each_part(
    values: &mut [f32],
    length: usize,
    work: impl Fn(usize, &mut [f32]) + Sync,
) {
    use rayon::prelude::*;

    if threads() == 1 {
        return one_by_one(values, length, work);
    }
    values
        .par_chunks_mut(length)
        .enumerate()
        .for_each(|(index, part)| work(index, part));
}

/// Calls `work` with the index and the values of each `length` values of `values`; the last part
/// may be shorter.
#[cfg(target_family = "wasm")]
pub(crate) fn for_each_part(values: &mut [f32], length: usize, work: impl Fn(usize, &mut [f32])) {
    one_by_one(values, length, work);
}

fn one_by_one(values: &mut [f32], length: usize, work: impl Fn(usize, &mut [f32])) {
    for (index, part) in values.chunks_mut(length).enumerate() {
        work(index, part);
    }
}

/// `work` of 0 to `count`, in this order.
#[cfg(not(target_family = "wasm"))]
#[must_use]
pub fn map<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    use rayon::prelude::*;

    let threads = threads();
    // As many for each thread, or nearly: then none has to help another.
    let even = count.is_multiple_of(threads) || count >= 4 * threads;
    (0..count)
        .into_par_iter()
        .map(|index| match even {
            true => alone(|| work(index)),
            false => work(index),
        })
        .collect()
}

/// `work` of 0 to `count`, in this order.
#[cfg(target_family = "wasm")]
#[must_use]
pub fn map<T>(count: usize, work: impl Fn(usize) -> T) -> Vec<T> {
    (0..count).map(work).collect()
}

/// Starts the threads that share work, each on a core of its own where there is one for each of them. Else two may be woken on
/// the same core, of which one then waits until the other has done the work of both. Without effect where they run already.
#[cfg(not(target_family = "wasm"))]
pub fn start_threads() {
    let start = rayon::ThreadPoolBuilder::new();
    #[cfg(target_os = "linux")]
    let start = match cores() {
        Ok(cores) => start.start_handler(move |index| {
            if rayon::current_num_threads() == cores.len() {
                // Elsewhere it runs as well, if not as fast.
                let _ = keep_on(cores[index]);
            }
        }),
        Err(_) => start,
    };
    // An error says that they run already.
    let _ = start.build_global();
}

/// The cores that this program may use.
#[cfg(target_os = "linux")]
fn cores() -> rustix::io::Result<Vec<usize>> {
    let allowed = rustix::thread::sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU)
        .filter(|core| allowed.is_set(*core))
        .collect())
}

/// Keeps this thread on `core`.
#[cfg(target_os = "linux")]
fn keep_on(core: usize) -> rustix::io::Result<()> {
    let mut only = CpuSet::new();
    only.set(core);
    rustix::thread::sched_setaffinity(None, &only)
}

/// Does `work` on one of the threads that share it. On another, each layer would be handed over to
/// them and waited for. The others stay awake in the meantime.
#[cfg(not(target_family = "wasm"))]
pub fn within<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    rayon::scope(|_| {
        let _awake = Awake::keep();
        work()
    })
}

/// As long as this lives, the threads that share this one's work look for some: to wake one takes longer than
/// many a layer. Where there are many, the others may sleep.
#[cfg(not(target_family = "wasm"))]
struct Awake(Arc<AtomicBool>);

#[cfg(not(target_family = "wasm"))]
impl Awake {
    /// Threads that stay awake.
    const MOST: usize = 8;

    fn keep() -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let awake = Self(Arc::clone(&over));
        let here = rayon::current_thread_index();
        rayon::spawn_broadcast(move |thread| {
            let index = thread.index();
            while Some(index) != here && index < Self::MOST && !over.load(Ordering::Relaxed) {
                if rayon::yield_now() != Some(rayon::Yield::Executed) {
                    std::thread::yield_now();
                }
            }
        });
        awake
    }
}

#[cfg(not(target_family = "wasm"))]
impl Drop for Awake {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Does `work`.
#[cfg(target_family = "wasm")]
pub fn within<T>(work: impl FnOnce() -> T) -> T {
    work()
}

/// Into how many parts `rows` of `width` pixels are cut, by the rows of one: a few for each thread, so
/// that none waits long for the last, but of `least` pixels or more where each thread has its part
/// all the same.
pub(crate) fn rows_of_part(rows: usize, width: usize, least: usize) -> usize {
    let threads = threads();
    let parts = if threads == 1 { 1 } else { 4 * threads };
    let enough = least.div_ceil(width.max(1));
    rows.div_ceil(parts)
        .max(enough.min(rows.div_ceil(threads)))
        .max(1)
}

#[cfg(not(target_family = "wasm"))]
thread_local! {
    /// Whether this thread works on something by itself.
    static ALONE: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// `work` on this thread only.
#[cfg(not(target_family = "wasm"))]
fn alone<T>(work: impl FnOnce() -> T) -> T {
    /// Sets back what was before, after a panic too.
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            ALONE.set(self.0);
        }
    }
    let _before = Before(ALONE.replace(true));
    work()
}

/// Threads that share what this one does.
fn threads() -> usize {
    #[cfg(not(target_family = "wasm"))]
    return match ALONE.get() {
        true => 1,
        false => rayon::current_num_threads(),
    };
    #[cfg(target_family = "wasm")]
    1
}

#[cfg(all(test, not(target_family = "wasm")))]
mod tests {
    use super::*;

    /// Threads that are kept awake by one piece of work must be free for another's, and after a panic.
    #[test]
    fn work_may_overlap_and_panic() {
        let sums = |seed: usize| {
            within(|| {
                (0..50).fold(seed, |sum, layer| {
                    let mut values = vec![1.0; 64];
                    for_each_part(&mut values, 4, |index, part| {
                        part.fill((index + layer) as f32);
                    });
                    sum + values.iter().sum::<f32>() as usize
                })
            })
        };
        std::thread::scope(|scope| {
            let works: Vec<_> = (0..16)
                .map(|seed| scope.spawn(move || sums(seed)))
                .collect();
            for (seed, work) in works.into_iter().enumerate() {
                assert_eq!(work.join().unwrap(), sums(0) + seed);
            }
        });
        let panicked = std::panic::catch_unwind(|| within(|| panic!("on purpose")));
        assert!(panicked.is_err());
        assert_eq!(sums(1), sums(0) + 1);
    }
}
