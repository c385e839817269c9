//! The golden vectors as a program, for WASM: `tests/golden.mjs` runs it in Node.js. Its exit code is 0, or the
//! number of the first vector that does not hold, counted from 1.

use std::process::ExitCode;

#[path = "../tests/golden/mod.rs"]
#[allow(unreachable_pub, missing_docs)]
mod golden;

fn main() -> ExitCode {
    for (number, (name, text)) in (1..).zip(golden::VECTORS) {
        let checked = golden::parse(text)
            .ok_or("does not parse")
            .and_then(|vector| golden::check(&vector));
        if let Err(error) = checked {
            // Not to be seen in WASM, where only the code arrives.
            eprintln!("{name}: {error}");
            return ExitCode::from(number);
        }
    }
    ExitCode::SUCCESS
}
