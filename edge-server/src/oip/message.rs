//! Requests and responses of `infer` with the binary tensor extension: bytes to tensors and back.

use bytes::{BufMut, Bytes, BytesMut};
use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The most inputs or outputs that a request may name.
const MAX_TENSORS: usize = 16;
/// The most elements that a request may hold of strings.
const MAX_ELEMENTS: usize = 1024;

/// A request that is none.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// The header's length points behind the body.
    #[error("Inference-Header-Content-Length is {length}, but the body has {body} bytes")]
    HeaderLength {
        /// As the request states it.
        length: usize,
        /// Bytes that there are.
        body: usize,
    },
    /// No JSON, or not that of a request.
    #[error("the request is not readable: {0}")]
    Json(#[from] serde_json::Error),
    /// Too many tensors.
    #[error("a request may name at most {MAX_TENSORS} inputs and outputs")]
    TooMany,
    /// The binary data is shorter or longer than the inputs say.
    #[error("the inputs announce {announced} bytes of binary data; {there} are there")]
    Binary {
        /// The inputs' sum.
        announced: usize,
        /// Behind the header.
        there: usize,
    },
    /// A tensor's data does not fit its shape and type.
    #[error("the input `{name}` {what}")]
    Tensor {
        /// The input.
        name: String,
        /// What is wrong.
        what: &'static str,
    },
}

/// A request, as far as it is understood here.
#[derive(Debug)]
pub struct Request {
    /// The client's name for it, which the response repeats.
    pub id: Option<String>,
    /// What is to be computed.
    pub inputs: Vec<Tensor>,
    /// What is wanted; everything when empty.
    pub outputs: Vec<Wanted>,
    /// How long the client will wait, in microseconds.
    pub timeout_us: Option<u64>,
    /// Whether outputs are wanted as binary data where they do not say.
    pub binary: bool,
}

/// An input.
#[derive(Debug, PartialEq)]
pub struct Tensor {
    /// Its name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its elements.
    pub data: Data,
}

/// Elements of a tensor.
#[derive(Debug, PartialEq)]
pub enum Data {
    /// `FP32`.
    Floats(Vec<f32>),
    /// `BYTES`.
    Strings(Vec<Bytes>),
}

/// An output that is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// Whether as binary data.
    pub binary: bool,
    /// As so many of the most probable classes instead of all values.
    pub classes: Option<usize>,
}

#[derive(Deserialize)]
struct Head {
    id: Option<String>,
    #[serde(default)]
    parameters: Map<String, Value>,
    inputs: Vec<InputHead>,
    #[serde(default)]
    outputs: Vec<OutputHead>,
}

#[derive(Deserialize)]
struct InputHead {
    name: String,
    shape: Vec<usize>,
    datatype: String,
    #[serde(default)]
    parameters: Map<String, Value>,
    data: Option<Numbers>,
}

/// Numbers, in nested arrays or not, in their order. Read without the tree that they would make,
/// which takes many times the memory.
struct Numbers(Vec<f32>);

impl<'de> Deserialize<'de> for Numbers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut numbers = Vec::new();
        Append(&mut numbers).deserialize(deserializer)?;
        Ok(Self(numbers))
    }
}

struct Append<'a>(&'a mut Vec<f32>);

impl<'de> DeserializeSeed<'de> for Append<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Append<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("numbers in arrays; BYTES are taken as binary data (binary_data_size) only")
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.0.push(value as f32);
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.0.push(value as f32);
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.0.push(value as f32);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
        while sequence.next_element_seed(Append(&mut *self.0))?.is_some() {}
        Ok(())
    }
}

#[derive(Deserialize)]
struct OutputHead {
    name: String,
    #[serde(default)]
    parameters: Map<String, Value>,
}

impl Request {
    /// Reads a body; `header` is the value of `Inference-Header-Content-Length`, without which
    /// all of the body is JSON.
    ///
    /// # Errors
    ///
    /// When it is no request, or its data does not fit the shapes.
    pub fn parse(body: &Bytes, header: Option<usize>) -> Result<Self, MessageError> {
        let length = header.unwrap_or(body.len());
        if length > body.len() {
            return Err(MessageError::HeaderLength {
                length,
                body: body.len(),
            });
        }
        let head: Head = serde_json::from_slice(&body[..length])?;
        if head.inputs.len() > MAX_TENSORS || head.outputs.len() > MAX_TENSORS {
            return Err(MessageError::TooMany);
        }
        let mut binary = body.slice(length..);
        let there = binary.len();
        let announced = head
            .inputs
            .iter()
            .filter_map(|input| size(&input.parameters, "binary_data_size"))
            .fold(0usize, usize::saturating_add);
        if announced != there {
            return Err(MessageError::Binary { announced, there });
        }
        let inputs = head
            .inputs
            .into_iter()
            .map(|input| {
                let bytes = size(&input.parameters, "binary_data_size")
                    .map(|size| binary.split_to(size.min(binary.len())));
                tensor(input, bytes)
            })
            .collect::<Result<_, _>>()?;
        let binary = flag(&head.parameters, "binary_data_output").unwrap_or(false);
        let outputs = head
            .outputs
            .into_iter()
            .map(|output| Wanted {
                binary: flag(&output.parameters, "binary_data").unwrap_or(binary),
                classes: size(&output.parameters, "classification").filter(|classes| *classes > 0),
                name: output.name,
            })
            .collect();
        Ok(Self {
            id: head.id,
            inputs,
            outputs,
            timeout_us: head.parameters.get("timeout").and_then(Value::as_u64),
            binary,
        })
    }
}

fn size(parameters: &Map<String, Value>, name: &str) -> Option<usize> {
    let size = parameters.get(name)?.as_u64()?;
    Some(usize::try_from(size).unwrap_or(usize::MAX))
}

fn flag(parameters: &Map<String, Value>, name: &str) -> Option<bool> {
    parameters.get(name)?.as_bool()
}

fn tensor(head: InputHead, binary: Option<Bytes>) -> Result<Tensor, MessageError> {
    let InputHead {
        name,
        shape,
        datatype,
        data,
        ..
    } = head;
    let wrong = |what| MessageError::Tensor {
        name: name.clone(),
        what,
    };
    let elements = shape
        .iter()
        .try_fold(1usize, |product, size| product.checked_mul(*size))
        .ok_or_else(|| wrong("has a shape beyond all bounds"))?;
    let data = match (datatype.as_str(), binary, data) {
        ("FP32", Some(bytes), None) => Data::Floats(
            floats(&bytes)
                .ok_or_else(|| wrong("has binary data that is no row of 32-bit floats"))?,
        ),
        ("FP32", None, Some(Numbers(floats))) => Data::Floats(floats),
        ("BYTES", Some(bytes), None) => Data::Strings(
            strings(bytes).ok_or_else(|| wrong("has binary data that is no row of strings"))?,
        ),
        ("BYTES", None, Some(_)) => {
            return Err(wrong(
                "holds bytes; send them as binary data (binary_data_size)",
            ));
        }
        ("FP32" | "BYTES", ..) => {
            return Err(wrong("needs either `data` or `binary_data_size`"));
        }
        _ => {
            return Err(wrong(
                "has a datatype that is not taken here; FP32 and BYTES are",
            ));
        }
    };
    let there = match &data {
        Data::Floats(floats) => floats.len(),
        Data::Strings(strings) => strings.len(),
    };
    if there != elements {
        return Err(wrong("has another number of elements than its shape"));
    }
    Ok(Tensor { name, shape, data })
}

fn floats(bytes: &[u8]) -> Option<Vec<f32>> {
    let (values, rest) = bytes.as_chunks::<4>();
    rest.is_empty().then(|| {
        values
            .iter()
            .map(|value| f32::from_le_bytes(*value))
            .collect()
    })
}

/// Strings, each behind its length.
fn strings(mut bytes: Bytes) -> Option<Vec<Bytes>> {
    let mut strings = Vec::new();
    while !bytes.is_empty() {
        let length = u32::from_le_bytes(*bytes.first_chunk::<4>()?);
        let _ = bytes.split_to(4);
        let length = usize::try_from(length).ok()?;
        if length > bytes.len() || strings.len() >= MAX_ELEMENTS {
            return None;
        }
        strings.push(bytes.split_to(length));
    }
    Some(strings)
}

/// An output.
#[derive(Debug)]
pub struct Output {
    /// Its name.
    pub name: &'static str,
    /// Its shape.
    pub shape: [usize; 2],
    /// Its elements.
    pub data: OutputData,
    /// Whether it goes as binary data.
    pub binary: bool,
}

/// Elements of an output.
#[derive(Debug)]
pub enum OutputData {
    /// `FP32`.
    Floats(Vec<f32>),
    /// `BYTES`.
    Strings(Vec<String>),
}

#[derive(Serialize)]
struct ResponseHead<'a> {
    model_name: &'a str,
    model_version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    outputs: Vec<Value>,
}

/// A response's body, and the length of its JSON where binary data follows.
///
/// # Errors
///
/// When the JSON cannot be written.
pub fn respond(
    model: &str,
    version: &str,
    id: Option<&str>,
    outputs: Vec<Output>,
) -> Result<(Bytes, Option<usize>), serde_json::Error> {
    let mut binary = BytesMut::new();
    let any = outputs.iter().any(|output| output.binary);
    let mut heads = Vec::with_capacity(outputs.len());
    for output in outputs {
        let datatype = match output.data {
            OutputData::Floats(_) => "FP32",
            OutputData::Strings(_) => "BYTES",
        };
        let mut head = json!({"name": output.name, "shape": output.shape, "datatype": datatype});
        if output.binary {
            let before = binary.len();
            match output.data {
                OutputData::Floats(values) => {
                    values
                        .into_iter()
                        .for_each(|value| binary.put_f32_le(value));
                }
                OutputData::Strings(texts) => {
                    for text in texts {
                        binary.put_u32_le(u32::try_from(text.len()).unwrap_or(u32::MAX));
                        binary.put_slice(text.as_bytes());
                    }
                }
            }
            head["parameters"] = json!({"binary_data_size": binary.len() - before});
        } else {
            head["data"] = match output.data {
                OutputData::Floats(values) => json!(values),
                OutputData::Strings(texts) => json!(texts),
            };
        }
        heads.push(head);
    }
    let json = serde_json::to_vec(&ResponseHead {
        model_name: model,
        model_version: version,
        id,
        outputs: heads,
    })?;
    let header = any.then_some(json.len());
    let mut body = Bytes::from(json);
    if any {
        body = [body.as_ref(), &binary].concat().into();
    }
    Ok((body, header))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str, binary: &[u8]) -> Result<Request, MessageError> {
        let body = Bytes::from([json.as_bytes(), binary].concat());
        Request::parse(&body, Some(json.len()))
    }

    #[test]
    fn binary_and_json_tensors_are_read() {
        let json = r#"{"id":"7","parameters":{"timeout":5000},"inputs":[
            {"name":"a","shape":[1,2],"datatype":"FP32","parameters":{"binary_data_size":8}},
            {"name":"b","shape":[2],"datatype":"BYTES","parameters":{"binary_data_size":11}},
            {"name":"c","shape":[2,2],"datatype":"FP32","data":[[1,2],[3,4]]}],
            "outputs":[{"name":"logits","parameters":{"binary_data":true,"classification":3}}]}"#;
        let mut binary = [1.5f32.to_le_bytes(), (-2f32).to_le_bytes()].concat();
        binary.extend(b"\x03\0\0\0abc\0\0\0\0");
        let request = parse(json, &binary).unwrap();
        assert_eq!(request.inputs[0].data, Data::Floats(vec![1.5, -2.0]));
        assert_eq!(
            request.inputs[1].data,
            Data::Strings(vec![Bytes::from_static(b"abc"), Bytes::new()])
        );
        assert_eq!(
            request.inputs[2].data,
            Data::Floats(vec![1.0, 2.0, 3.0, 4.0])
        );
        assert_eq!(
            (request.id.as_deref(), request.timeout_us),
            (Some("7"), Some(5000))
        );
        let wanted = Wanted {
            name: "logits".to_owned(),
            binary: true,
            classes: Some(3),
        };
        assert_eq!(request.outputs, [wanted]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let input = |shape: &str, datatype: &str, rest: &str| {
            format!(
                r#"{{"inputs":[{{"name":"a","shape":{shape},"datatype":"{datatype}"{rest}}}]}}"#
            )
        };
        let sized = |size: u64| format!(r#","parameters":{{"binary_data_size":{size}}}"#);
        for (json, binary) in [
            (String::new(), &b""[..]),
            ("[]".to_owned(), b""),
            (input("[1]", "FP32", ""), b""),
            (input("[1]", "FP32", &sized(3)), b"abc"),
            (input("[1]", "FP32", &sized(8)), b"abcdefgh"),
            (input("[1]", "FP32", &sized(4)), b"abc"),
            (input("[1]", "FP32", &sized(u64::MAX)), b"abcd"),
            (input("[1]", "FP32", ""), b"left over"),
            (input("[1]", "BYTES", &sized(5)), b"\x02\0\0\0a"),
            (input("[1]", "BYTES", r#","data":["text"]"#), b""),
            (input("[1]", "INT8", &sized(1)), b"a"),
            (input("[-1]", "FP32", &sized(4)), b"abcd"),
            (
                input("[4294967296,4294967296,2]", "FP32", &sized(4)),
                b"abcd",
            ),
            (input("[1]", "FP32", r#","data":["a"]"#), b""),
            (input("[1]", "FP32", r#","data":{}"#), b""),
        ] {
            assert!(parse(&json, binary).is_err(), "{json}");
        }
        let long = Request::parse(&Bytes::from_static(b"{}"), Some(3));
        assert!(matches!(long, Err(MessageError::HeaderLength { .. })));
    }

    #[test]
    fn a_response_says_where_its_json_ends() {
        let output = |binary| Output {
            name: "logits",
            shape: [1, 2],
            data: OutputData::Floats(vec![1.0, 2.0]),
            binary,
        };
        let (body, header) = respond("m", "1", Some("7"), vec![output(true)]).unwrap();
        let header = header.unwrap();
        let json: Value = serde_json::from_slice(&body[..header]).unwrap();
        assert_eq!(json["outputs"][0]["parameters"]["binary_data_size"], 8);
        assert_eq!(body.len() - header, 8);
        let (body, header) = respond("m", "1", None, vec![output(false)]).unwrap();
        assert!(header.is_none());
        let json: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(json["outputs"][0]["data"], json!([1.0, 2.0]));
        assert!(json.get("id").is_none());
    }
}
