//! One frame: check, decode, queue, answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aecnn::Split;
use bytes::Bytes;
use wire::{Frame, FrameHeader, FrameResult, HEADER_BYTES};

use super::hello::Agreement;
use crate::answer::{Clock, answer};
use crate::app::App;
use crate::catalogue::Catalogue;
use crate::engine::{CodecId, Input, Ticket};
use crate::error::Refusal;
use crate::metrics::Kind;

/// A frame of which everything but the payload's content was checked.
#[derive(Debug)]
pub(super) struct Checked {
    /// Its header.
    pub(super) header: FrameHeader,
    codec: CodecId,
    split: Split,
    positions: usize,
    payload: Bytes,
    arrived: Instant,
}

/// Checks a binary message against the session's model and the server's limits.
pub(super) fn check(
    app: &App,
    agreement: Agreement,
    message: &Bytes,
    arrived: Instant,
) -> Result<Checked, Refusal> {
    let Frame { header, .. } = Frame::parse(message, app.config.max_payload)?;
    let id = CodecId {
        model: agreement.model,
        codec: usize::from(header.codec),
    };
    let codec = app
        .catalogue
        .codec(id)
        .ok_or_else(|| Refusal::Codec(format!("with the number {}", id.codec)))?;
    if header.split != codec.split.as_u8() {
        return Err(Refusal::Split {
            got: header.split,
            expected: codec.split.as_u8(),
        });
    }
    let rate = codec
        .rates
        .get(usize::from(header.rate))
        .ok_or(Refusal::Rate {
            rate: header.rate,
            rates: codec.rates.len(),
        })?;
    if usize::from(header.channels) > rate.channels() {
        return Err(Refusal::Channels {
            got: header.channels,
            most: rate.channels(),
        });
    }
    let [_, rows, columns] = codec.latent_shape();
    Ok(Checked {
        header,
        codec: id,
        split: codec.split,
        positions: rows * columns,
        payload: message.slice(HEADER_BYTES..),
        arrived,
    })
}

/// Decodes the payload, has the rest of the network run, and writes the answer.
pub(super) async fn finish(
    app: Arc<App>,
    agreement: Agreement,
    frame: Checked,
    ticket: Ticket,
) -> Result<FrameResult, Refusal> {
    let header = frame.header;
    let payload_bytes = u32::try_from(frame.payload.len()).unwrap_or(u32::MAX);
    let arrived = frame.arrived;

    // Short, but not so short that other clients' sockets should wait for it.
    let catalogue = Arc::clone(&app.catalogue);
    let (input, decode) = tokio::task::spawn_blocking(move || {
        let started = Instant::now();
        decode(&catalogue, &frame).map(|input| (input, started.elapsed()))
    })
    .await
    .map_err(|error| Refusal::Internal(error.to_string()))??;

    let finished = app.queue.submit(ticket, input).await?;
    let model = app
        .catalogue
        .model(agreement.model)
        .ok_or_else(|| Refusal::Internal("the session's model is gone".to_owned()))?;
    let clock = Clock {
        arrived,
        decode,
        preprocess: Duration::ZERO,
    };
    let answer = answer(model, &finished, agreement.top_k, &clock)?;
    app.metrics.answered(Kind::Frame, &clock, &finished);
    tracing::debug!(
        decode_us = answer.timings.decode_us,
        queue_us = answer.timings.queue_us,
        restore_us = answer.timings.restore_us,
        tail_us = answer.timings.tail_us,
        total_us = answer.timings.total_us,
        batch = answer.batch,
        "answered"
    );
    Ok(FrameResult {
        sequence: header.sequence,
        capture_time_us: header.capture_time_us,
        top: answer.top,
        timings: answer.timings,
        batch: answer.batch,
        payload_bytes,
    })
}

/// Entropy decoding: the payload's bytes to symbols, with the tables of the frame's rate.
fn decode(catalogue: &Catalogue, frame: &Checked) -> Result<Input, Refusal> {
    let rate = usize::from(frame.header.rate);
    let tables = catalogue
        .codec(frame.codec)
        .and_then(|codec| codec.rates.get(rate))
        .map(|rate| &rate.tables)
        .ok_or_else(|| Refusal::Internal("the frame's codec is gone".to_owned()))?;
    let channels = usize::from(frame.header.channels);
    let symbols = tables.decode(&frame.payload, channels, frame.positions)?;
    Ok(Input::Latent {
        codec: frame.codec,
        split: frame.split,
        rate,
        symbols,
    })
}
