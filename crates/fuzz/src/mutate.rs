//! Random changes to bytes.

use fastrand::Rng;

/// Numbers at whose edges parsers go wrong.
const EDGES: [u8; 8] = [0, 1, 0x7f, 0x80, 0xff, b'0', b'"', b'{'];

/// Changes `bytes` in one to six places: bits, bytes, lengths, repeated and moved pieces, and
/// pieces of another example. They stay within `longest` bytes.
pub fn mutate(bytes: &mut Vec<u8>, other: &[u8], longest: usize, random: &mut Rng) {
    for _ in 0..random.usize(1..=6) {
        once(bytes, other, random);
    }
    bytes.truncate(longest);
}

fn once(bytes: &mut Vec<u8>, other: &[u8], random: &mut Rng) {
    if bytes.is_empty() {
        bytes.push(random.u8(..));
        return;
    }
    let at = random.usize(..bytes.len());
    match random.u8(..10) {
        0 => bytes[at] ^= 1 << random.u8(..8),
        1 => bytes[at] = random.u8(..),
        2 => bytes[at] = EDGES[random.usize(..EDGES.len())],
        3 => bytes[at] = bytes[at].wrapping_add(random.u8(..5)).wrapping_sub(2),
        4 => {
            // A number of four bytes.
            let number = [0, 1, u32::MAX, 1 << 31, random.u32(..)][random.usize(..5)];
            for (byte, new) in bytes[at..].iter_mut().zip(number.to_le_bytes()) {
                *byte = new;
            }
        }
        5 => bytes.truncate(at),
        6 => bytes.insert(at, random.u8(..)),
        7 => {
            bytes.remove(at);
        }
        8 => {
            let end = (at + random.usize(1..=64)).min(bytes.len());
            let piece = bytes[at..end].to_vec();
            let to = random.usize(..=bytes.len());
            bytes.splice(to..to, piece);
        }
        _ if !other.is_empty() => {
            let from = random.usize(..other.len());
            let end = (from + random.usize(1..=128)).min(other.len());
            let stop = (at + end - from).min(bytes.len());
            bytes.splice(at..stop, other[from..end].iter().copied());
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_many_bounded_and_repeatable() {
        let example = b"an example of some length".to_vec();
        let all = |seed| {
            let mut random = Rng::with_seed(seed);
            let changed = (0..1000).map(|_| {
                let mut bytes = example.clone();
                mutate(&mut bytes, b"another one", 64, &mut random);
                assert!(bytes.len() <= 64);
                bytes
            });
            changed.collect::<Vec<_>>()
        };
        let first = all(7);
        assert_eq!(first, all(7));
        let different: std::collections::BTreeSet<_> = first.iter().collect();
        assert!(different.len() > 900, "{}", different.len());
        assert!(first.iter().any(|bytes| bytes.len() > example.len()));
        assert!(first.iter().any(|bytes| bytes.len() < example.len()));
    }
}
