//! One frame: check, decode, queue, answer.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use wire::{
    Frame, FrameHeader, FrameResult, HEADER_BYTES, Limits, PictureFormat, PictureFrame, Upload,
};

use super::hello::Agreement;
use crate::answer::{Clock, answer};
use crate::app::App;
use crate::coded::Coded;
use crate::engine::{CodecId, Ticket};
use crate::error::Refusal;
use crate::metrics::Kind;
use crate::models::Generation;
use crate::picture::{self, Source};

/// A frame of which everything but the payload's content was checked.
#[derive(Debug)]
pub(super) struct Checked {
    /// Its number.
    pub(super) sequence: u32,
    capture_time_us: u64,
    kind: Content,
    payload: Bytes,
    arrived: Instant,
}

/// What the payload is.
#[derive(Debug, Clone, Copy)]
enum Content {
    Feature(Coded),
    Picture(PictureFormat),
}

/// Checks a binary message against the session's model and the server's limits.
pub(super) fn check(
    agreement: &Agreement,
    limits: &Limits,
    message: &Bytes,
    arrived: Instant,
) -> Result<Checked, Refusal> {
    let (sequence, capture_time_us, kind) = match Upload::parse(message, limits)? {
        Upload::Feature(Frame { header, .. }) => {
            let kind = feature(agreement, &header)?;
            (header.sequence, header.capture_time_us, kind)
        }
        Upload::Picture(PictureFrame { header, .. }) => {
            let kind = Content::Picture(header.format);
            (header.sequence, header.capture_time_us, kind)
        }
    };
    Ok(Checked {
        sequence,
        capture_time_us,
        kind,
        payload: message.slice(HEADER_BYTES..),
        arrived,
    })
}

/// Checks a feature's header against the codec that it names.
fn feature(agreement: &Agreement, header: &FrameHeader) -> Result<Content, Refusal> {
    let id = CodecId {
        model: agreement.model,
        codec: usize::from(header.codec),
    };
    let codec = agreement
        .generation
        .catalogue
        .codec(id)
        .ok_or_else(|| Refusal::Codec(format!("with the number {}", id.codec)))?;
    Ok(Content::Feature(Coded::check(id, codec, header)?))
}

/// Decodes the payload, has the rest of the network run, and writes the answer.
pub(super) async fn finish(
    app: Arc<App>,
    agreement: Agreement,
    frame: Checked,
    ticket: Ticket,
) -> Result<FrameResult, Refusal> {
    let Checked {
        sequence,
        capture_time_us,
        kind,
        payload,
        arrived,
    } = frame;
    let Generation {
        catalogue, queue, ..
    } = &*agreement.generation;
    let payload_bytes = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let prepared = match kind {
        Content::Feature(coded) => {
            // Short, but not so short that other clients' sockets should wait for it.
            let catalogue = Arc::clone(catalogue);
            tokio::task::spawn_blocking(move || coded.decode(&catalogue, &payload))
                .await
                .map_err(|error| Refusal::Internal(error.to_string()))??
        }
        Content::Picture(format) => {
            let source = Source::Seen(format);
            picture::prepare(&app.decoders, catalogue, agreement.model, payload, source).await?
        }
    };

    let finished = queue.submit(ticket, prepared.input).await?;
    let model = catalogue
        .model(agreement.model)
        .ok_or_else(|| Refusal::Internal("the session's model is gone".to_owned()))?;
    let clock = Clock {
        arrived,
        decode: prepared.decode,
        preprocess: prepared.preprocess,
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
        sequence,
        capture_time_us,
        top: answer.top,
        timings: answer.timings,
        batch: answer.batch,
        payload_bytes,
    })
}
