//! Work on the parts of a buffer, on all cores where there are threads.

/// Calls `work` with the index and the values of each `length` values of `values`; the last part
/// may be shorter.
#[cfg(not(target_family = "wasm"))]
pub(crate) fn for_each_part(
    values: &mut [f32],
    length: usize,
    work: impl Fn(usize, &mut [f32]) + Sync,
) {
    use rayon::prelude::*;

    values
        .par_chunks_mut(length)
        .enumerate()
        .for_each(|(index, part)| work(index, part));
}

/// Calls `work` with the index and the values of each `length` values of `values`; the last part
/// may be shorter.
#[cfg(target_family = "wasm")]
pub(crate) fn for_each_part(values: &mut [f32], length: usize, work: impl Fn(usize, &mut [f32])) {
    for (index, part) in values.chunks_mut(length).enumerate() {
        work(index, part);
    }
}

/// `work` of 0 to `count`, in this order.
#[cfg(not(target_family = "wasm"))]
#[must_use]
pub fn map<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    use rayon::prelude::*;

    (0..count).into_par_iter().map(&work).collect()
}

/// `work` of 0 to `count`, in this order.
#[cfg(target_family = "wasm")]
#[must_use]
pub fn map<T>(count: usize, work: impl Fn(usize) -> T) -> Vec<T> {
    (0..count).map(work).collect()
}

/// Into how many parts work is best cut: a few for each thread, so that none waits long for the
/// last.
pub(crate) fn parts() -> usize {
    #[cfg(not(target_family = "wasm"))]
    return match rayon::current_num_threads() {
        1 => 1,
        threads => 4 * threads,
    };
    #[cfg(target_family = "wasm")]
    1
}
