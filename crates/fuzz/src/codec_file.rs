//! Codec files that were changed inside. Almost any change to the bytes of a whole file breaks its
//! container or its digest and is refused there. So a right file is taken apart, some of its parts
//! are changed, and it is put together and sealed again: what reads it gets to see every change.

use aecnn::codec::METADATA_KEY;
use aecnn::digest::sha256_hex_of;
use fastrand::Rng;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};

use crate::mutate::mutate;

/// A codec file's parts.
struct Parts {
    metadata: Value,
    tensors: Vec<Piece>,
}

/// A tensor.
#[derive(Clone)]
struct Piece {
    name: String,
    dtype: Dtype,
    shape: Vec<usize>,
    data: Vec<u8>,
}

impl Parts {
    fn read(bytes: &[u8]) -> Option<Self> {
        let (_, header) = SafeTensors::read_metadata(bytes).ok()?;
        let json = header.metadata().as_ref()?.get(METADATA_KEY)?;
        let container = SafeTensors::deserialize(bytes).ok()?;
        let tensors = container.iter().map(|(name, view)| Piece {
            name: name.to_owned(),
            dtype: view.dtype(),
            shape: view.shape().to_vec(),
            data: view.data().to_vec(),
        });
        Some(Self {
            metadata: serde_json::from_str(json).ok()?,
            tensors: tensors.collect(),
        })
    }

    /// The digest that the metadata must state.
    fn seal(&mut self) {
        self.tensors.sort_by(|a, b| a.name.cmp(&b.name));
        let data = self.tensors.iter().map(|tensor| tensor.data.as_slice());
        if let Some(fields) = self.metadata.as_object_mut() {
            fields.insert("sha256".to_owned(), sha256_hex_of(data).into());
        }
    }

    fn write(&self) -> Option<Vec<u8>> {
        let views = self
            .tensors
            .iter()
            .map(|tensor| {
                let view =
                    TensorView::new(tensor.dtype, tensor.shape.clone(), &tensor.data).ok()?;
                Some((tensor.name.as_str(), view))
            })
            .collect::<Option<Vec<_>>>()?;
        let metadata = [(METADATA_KEY.to_owned(), self.metadata.to_string())];
        safetensors::serialize(views, Some(metadata.into())).ok()
    }

    /// One change.
    fn change(&mut self, other: &[u8], random: &mut Rng) {
        let at = match self.tensors.len() {
            0 => return,
            tensors => random.usize(..tensors),
        };
        match random.u8(..8) {
            0 | 1 => self.change_tables(other, random),
            2 | 3 => change_json(&mut self.metadata, random),
            4 => {
                // Values, and as many of them as before.
                let data = &mut self.tensors[at].data;
                let length = data.len();
                mutate(data, other, length, random);
                data.resize(length, 0);
            }
            5 => extreme(&mut self.tensors[at], random),
            6 => reshape(&mut self.tensors[at], random),
            _ => {
                let name = self.tensors[random.usize(..self.tensors.len())]
                    .name
                    .clone();
                match random.u8(..3) {
                    0 => self.tensors[at].name.push('x'),
                    1 => drop(self.tensors.remove(at)),
                    // Two tensors change places.
                    _ => {
                        let before = std::mem::replace(&mut self.tensors[at].name, name.clone());
                        let twin = self.tensors.iter().rposition(|tensor| tensor.name == name);
                        if let Some(twin) = twin {
                            self.tensors[twin].name = before;
                        }
                    }
                }
            }
        }
    }

    /// Bytes of a rate's tables, of any length.
    fn change_tables(&mut self, other: &[u8], random: &mut Rng) {
        let tables = self.tensors.iter_mut().filter(|t| t.dtype == Dtype::U8);
        let mut tables: Vec<_> = tables.collect();
        if tables.is_empty() {
            return;
        }
        let at = random.usize(..tables.len());
        let tables = &mut tables[at];
        let longest = 2 * tables.data.len() + 64;
        mutate(&mut tables.data, other, longest, random);
        tables.shape = vec![tables.data.len()];
    }
}

/// Values at which arithmetic goes wrong, in some places of a tensor.
fn extreme(tensor: &mut Piece, random: &mut Rng) {
    const HALF: [u16; 6] = [0x7c00, 0xfc00, 0x7e00, 0x7bff, 0x0001, 0x8000];
    const SINGLE: [f32; 6] = [
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        f32::MAX,
        f32::MIN_POSITIVE,
        -0.0,
    ];
    let which = random.usize(..6);
    let value = match tensor.dtype {
        Dtype::F16 => HALF[which].to_le_bytes().to_vec(),
        Dtype::F32 => SINGLE[which].to_le_bytes().to_vec(),
        _ => vec![u8::MAX],
    };
    let places = tensor.data.len() / value.len();
    if places == 0 {
        return;
    }
    for _ in 0..random.usize(1..=4) {
        let at = random.usize(..places) * value.len();
        tensor.data[at..at + value.len()].copy_from_slice(&value);
    }
}

/// The same data in another shape or of another type, or a part of it.
fn reshape(tensor: &mut Piece, random: &mut Rng) {
    match random.u8(..5) {
        0 => tensor.shape = vec![tensor.shape.iter().product()],
        1 => tensor.shape.reverse(),
        2 => tensor.shape.insert(0, 1),
        3 => {
            // Single for half precision and the other way round: half or twice as many values.
            tensor.dtype = match tensor.dtype {
                Dtype::F16 => Dtype::F32,
                _ => Dtype::F16,
            };
            let bytes = if tensor.dtype == Dtype::F16 { 2 } else { 4 };
            tensor.shape = vec![tensor.data.len() / bytes];
            tensor.data.truncate(tensor.shape[0] * bytes);
        }
        _ => {
            // One less along the first dimension.
            let Some(rows) = tensor.shape.first_mut().filter(|rows| **rows > 0) else {
                return;
            };
            let row = tensor.data.len() / *rows;
            *rows -= 1;
            tensor.data.truncate(row * *rows);
        }
    }
}

/// Changes a field somewhere in the metadata.
fn change_json(value: &mut Value, random: &mut Rng) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            let at = random.usize(..fields.len());
            let key = fields.keys().nth(at).cloned().unwrap_or_default();
            if random.u8(..16) == 0 {
                fields.remove(&key);
            } else if let Some(field) = fields.get_mut(&key) {
                change_json(field, random);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            let at = random.usize(..items.len());
            match random.u8(..8) {
                0 => drop(items.remove(at)),
                1 => items.push(items[at].clone()),
                _ => change_json(&mut items[at], random),
            }
        }
        leaf => *leaf = other_leaf(leaf, random),
    }
}

/// Something else in the place of a number, a word or a truth.
fn other_leaf(leaf: &Value, random: &mut Rng) -> Value {
    const WORDS: [&str; 10] = [
        "",
        "stem",
        "stage1",
        "stage4",
        "klt",
        "aecnn",
        "v1",
        "v1.5",
        "\u{0}",
        "a longer name",
    ];
    let number = leaf.as_f64().unwrap_or(1.0);
    match (leaf, random.u8(..8)) {
        (_, 0) => Value::Null,
        (Value::String(_), _) => WORDS[random.usize(..WORDS.len())].into(),
        (Value::Bool(truth), _) => (!truth).into(),
        (_, 1) => json!(number + 1.0),
        (Value::Number(_), 2 | 3) => match leaf.as_u64() {
            Some(whole) => json!(whole.wrapping_add(random.u64(..5)).wrapping_sub(2)),
            None => json!(number * 0.5),
        },
        (_, 4) => json!(-number),
        (_, 5) => json!(u64::MAX),
        (_, 6) => json!([0.0, 0.25, 1e-40, 1e308][random.usize(..4)]),
        _ => json!([0, 1, 2, 8, 255, 256, 4096, 65536][random.usize(..8)]),
    }
}

/// Changes one to three parts of a codec file and seals it. Now and then what an unkind writer
/// would do as well: the seal is left as it was, or bytes of the whole are changed.
pub fn change(bytes: &mut Vec<u8>, other: &[u8], longest: usize, random: &mut Rng) {
    let Some(mut parts) = Parts::read(bytes) else {
        return mutate(bytes, other, longest, random);
    };
    for _ in 0..random.usize(1..=3) {
        parts.change(other, random);
    }
    if random.u8(..32) > 0 {
        parts.seal();
    }
    if let Some(written) = parts.write() {
        *bytes = written;
    }
    if random.u8(..32) == 0 {
        mutate(bytes, other, longest, random);
    }
    bytes.truncate(longest);
}

#[cfg(test)]
mod tests {
    use aecnn::codec::{CodecError, CodecFile};

    use super::*;
    use crate::targets::all;

    #[test]
    fn changes_get_past_the_container_and_the_seal() {
        let targets = all().unwrap();
        let target = targets.iter().find(|t| t.name == "codec-file").unwrap();
        let mut random = Rng::with_seed(1);
        let (mut right, mut early) = (0, 0);
        for n in 0..2000 {
            let example = &target.examples[n % target.examples.len()];
            let mut bytes = example.clone();
            change(&mut bytes, example, target.longest, &mut random);
            match CodecFile::parse(&bytes) {
                Ok(_) => right += usize::from(bytes != *example),
                Err(
                    CodecError::Container(_) | CodecError::NoMetadata | CodecError::Digest { .. },
                ) => early += 1,
                Err(_) => {}
            }
        }
        assert!(right > 200, "only {right} other codecs were taken");
        assert!(early < 400, "{early} did not get far");
    }
}
