//! `POST /v2/models/<name>/infer`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aecnn::classes::{softmax, top_k};
use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::future::try_join_all;
use wire::Frame;

use super::message::{Data, Output, OutputData, Request, Tensor, Wanted, respond};
use super::offer::{Offer, Takes, VERSION};
use super::{Failure, Named};
use crate::answer::Clock;
use crate::app::App;
use crate::catalogue::{Catalogue, Model};
use crate::coded::Coded;
use crate::engine::{CodecId, Finished, Input, Ticket};
use crate::error::Refusal;
use crate::guests::Visit;
use crate::http::body;
use crate::metrics::Kind;
use crate::models::Generation;
use crate::picture::{self, Prepared, Source};

/// The most pictures, features or frames of one request.
const MOST: usize = 16;

/// How long the JSON is that binary data follows.
const HEADER_LENGTH: &str = "inference-header-content-length";

/// Computes what the request holds, and answers with what it wants.
pub(super) async fn infer(
    State(app): State<Arc<App>>,
    Extension(visit): Extension<Arc<Visit>>,
    Path(named): Path<Named>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    Ok(compute(&app, &visit, &named, &headers, body).await?)
}

async fn compute(
    app: &Arc<App>,
    visit: &Visit,
    named: &Named,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    body::may_compute(app, headers)?;
    let generation = app.models.current();
    let offer = named.find(&generation.catalogue)?;
    let model = offer.model(&generation.catalogue)?;
    if headers.contains_key(CONTENT_ENCODING) {
        return Err(bad("compressed bodies are not taken"));
    }
    let header = headers
        .get(HEADER_LENGTH)
        .map(|value| {
            let number = value.to_str().ok().and_then(|text| text.parse().ok());
            number.ok_or_else(|| bad("Inference-Header-Content-Length is no number"))
        })
        .transpose()?;
    let body = body::receive(body, headers, app.config.max_infer, visit).await?;
    let arrived = Instant::now();
    app.metrics.received(Kind::Infer, body.len());
    let request = Request::parse(&body, header)?;
    let wanted = wanted(&request)?;
    let items = items(&offer, model, request.inputs)?;

    // All of them or none: a part of an answer is of no use.
    let tickets = items
        .iter()
        .map(|_| {
            let ticket = generation.queue.admit(None)?;
            Ok(match request.timeout_us {
                Some(micros) if micros > 0 => ticket.within(Duration::from_micros(micros)),
                _ => ticket,
            })
        })
        .collect::<Result<Vec<Ticket>, Refusal>>()?;
    let computing = items
        .into_iter()
        .zip(tickets)
        .map(|(item, ticket)| one(app, &generation, &offer, item, ticket, arrived));
    let finished = try_join_all(computing).await?;

    let outputs = wanted
        .iter()
        .map(|wanted| output(model, wanted, &finished))
        .collect::<Result<_, _>>()?;
    let (body, header) = respond(&offer.name, VERSION, request.id.as_deref(), outputs)
        .map_err(|error| Refusal::Internal(error.to_string()))?;
    let mut response = Body::from(body).into_response();
    let kind = match header {
        Some(length) => {
            response
                .headers_mut()
                .insert(HEADER_LENGTH, HeaderValue::from(length));
            "application/octet-stream"
        }
        None => "application/json",
    };
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok(response)
}

fn bad(what: &str) -> Refusal {
    Refusal::Infer(what.to_owned())
}

/// The outputs to answer with.
fn wanted(request: &Request) -> Result<Vec<Wanted>, Refusal> {
    if request.outputs.is_empty() {
        return Ok(vec![Wanted {
            name: "probabilities".to_owned(),
            binary: request.binary,
            classes: None,
        }]);
    }
    for output in &request.outputs {
        if !["probabilities", "logits"].contains(&output.name.as_str()) {
            return Err(bad("the outputs are `probabilities` and `logits`"));
        }
    }
    Ok(request.outputs.clone())
}

/// One thing to compute.
#[derive(Debug)]
enum Item {
    Picture(Bytes),
    Feature(Vec<f32>),
    Frame(Bytes),
}

/// Takes the request's input apart.
fn items(offer: &Offer, model: &Model, inputs: Vec<Tensor>) -> Result<Vec<Item>, Refusal> {
    let name = offer.input();
    let [tensor] = <[Tensor; 1]>::try_from(inputs)
        .ok()
        .filter(|[tensor]| tensor.name == name)
        .ok_or_else(|| bad(&format!("the one input is called `{name}`")))?;
    let items: Vec<Item> = match (offer.takes, tensor.data) {
        (Takes::Features(split), Data::Floats(values)) => {
            let shape = model.manifest.variant.feature_shape(split);
            let right = [shape.channels, shape.height, shape.width];
            if tensor.shape.len() != 4 || tensor.shape[1..] != right {
                return Err(bad(
                    &format!("the shape is [n, {right:?}]").replace(", [", ", ")
                ));
            }
            values
                .chunks(shape.values())
                .map(|values| Item::Feature(values.to_vec()))
                .collect()
        }
        (Takes::Pictures, Data::Strings(files)) => files.into_iter().map(Item::Picture).collect(),
        (Takes::Frames(_), Data::Strings(frames)) => frames.into_iter().map(Item::Frame).collect(),
        (Takes::Features(_), Data::Strings(_)) => return Err(bad("the input's datatype is FP32")),
        (_, Data::Floats(_)) => return Err(bad("the input's datatype is BYTES")),
    };
    if (1..=MOST).contains(&items.len()) {
        Ok(items)
    } else {
        Err(bad(&format!("a request holds 1 to {MOST} items")))
    }
}

/// Decodes one item and has it computed.
async fn one(
    app: &Arc<App>,
    generation: &Generation,
    offer: &Offer,
    item: Item,
    ticket: Ticket,
    arrived: Instant,
) -> Result<Finished, Refusal> {
    let model = offer.model;
    let prepared = match (item, offer.takes) {
        (Item::Picture(bytes), _) => {
            let catalogue = &generation.catalogue;
            picture::prepare(&app.decoders, catalogue, model, bytes, Source::Photograph).await?
        }
        (Item::Feature(values), Takes::Features(split)) => {
            let input = Input::Feature {
                model,
                split,
                values,
            };
            Prepared {
                input,
                decode: Duration::ZERO,
                preprocess: Duration::ZERO,
            }
        }
        (Item::Frame(message), Takes::Frames(codec)) => {
            let catalogue = Arc::clone(&generation.catalogue);
            let most = app.config.max_payload;
            tokio::task::spawn_blocking(move || entropy_decode(&catalogue, codec, &message, most))
                .await
                .map_err(|error| Refusal::Internal(error.to_string()))??
        }
        _ => return Err(Refusal::Internal("an item of another kind".to_owned())),
    };
    let finished = generation.queue.submit(ticket, prepared.input).await?;
    let clock = Clock {
        arrived,
        decode: prepared.decode,
        preprocess: prepared.preprocess,
    };
    app.metrics.answered(Kind::Infer, &clock, &finished);
    Ok(finished)
}

/// A frame to symbols. The codec is the one that the model's name says; the number in the header
/// is a session's, and there is none.
fn entropy_decode(
    catalogue: &Catalogue,
    id: CodecId,
    message: &Bytes,
    max_payload: u32,
) -> Result<Prepared, Refusal> {
    let frame = Frame::parse(message, max_payload)?;
    let gone = || Refusal::Internal("the codec is gone".to_owned());
    let codec = catalogue.codec(id).ok_or_else(gone)?;
    Coded::check(id, codec, &frame.header)?.decode(catalogue, frame.payload)
}

/// An output in the form that is wanted.
fn output(model: &Model, wanted: &Wanted, finished: &[Finished]) -> Result<Output, Refusal> {
    let (name, of_logits) = match wanted.name.as_str() {
        "logits" => ("logits", true),
        _ => ("probabilities", false),
    };
    let rows = finished
        .iter()
        .map(|finished| {
            let probabilities = softmax(&finished.logits).ok_or(Refusal::Extreme)?;
            Ok(match of_logits {
                true => finished.logits.clone(),
                false => probabilities,
            })
        })
        .collect::<Result<Vec<Vec<f32>>, Refusal>>()?;
    let (columns, data) = match wanted.classes {
        None => {
            let columns = rows.first().map_or(0, Vec::len);
            (columns, OutputData::Floats(rows.concat()))
        }
        Some(classes) => {
            let classes = classes.min(model.labels.len());
            let texts = rows.iter().flat_map(|row| {
                top_k(row, classes).into_iter().map(|class| {
                    let label = model.labels.get(class.index).map_or("", String::as_str);
                    format!("{}:{}:{label}", class.probability, class.index)
                })
            });
            (classes, OutputData::Strings(texts.collect()))
        }
    };
    Ok(Output {
        name,
        shape: [rows.len(), columns],
        data,
        binary: wanted.binary,
    })
}
