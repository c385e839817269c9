//! The opening of a session: hello and welcome.

use std::sync::Arc;

use aecnn::Split;
use wire::{ClientMessage, CodecInfo, Hello, Welcome};

use super::limits;
use crate::answer::DEFAULT_TOP_K;
use crate::app::{App, SERVER};
use crate::error::Refusal;
use crate::models::Generation;

/// What client and server agreed on.
#[derive(Debug, Clone)]
pub(super) struct Agreement {
    /// The session's number.
    pub(super) session: u64,
    /// The models that the session uses until it ends, whatever is read later.
    pub(super) generation: Arc<Generation>,
    /// Index of the model in the catalogue.
    pub(super) model: usize,
    /// Classes in an answer.
    pub(super) top_k: u8,
}

/// Reads a hello.
pub(super) fn parse(text: &str) -> Result<Hello, Refusal> {
    match ClientMessage::parse(text)? {
        ClientMessage::Hello(hello) => Ok(hello),
        _ => Err(Refusal::OutOfTurn("a message other than a hello")),
    }
}

/// Checks that the server has what the hello names, and writes the welcome.
pub(super) fn negotiate(
    app: &App,
    session: u64,
    hello: &Hello,
) -> Result<(Agreement, Welcome), Refusal> {
    let unknown = || Refusal::Model(hello.model.clone());
    let generation = app.models.current();
    let catalogue = &generation.catalogue;
    let index = catalogue.by_digest(&hello.model).ok_or_else(unknown)?;
    let model = catalogue.model(index).ok_or_else(unknown)?;
    let codec = model
        .codec_by_digest(&hello.codec)
        .and_then(|codec| model.codecs.get(codec))
        .ok_or_else(|| Refusal::Codec(hello.codec.clone()))?;
    if hello.split != codec.split.as_u8() {
        return Err(Refusal::Split {
            got: hello.split,
            expected: codec.split.as_u8(),
        });
    }
    if usize::from(hello.rate) >= codec.rates.len() {
        return Err(Refusal::Rate {
            rate: hello.rate,
            rates: codec.rates.len(),
        });
    }
    let codecs = model
        .manifest
        .codecs
        .iter()
        .zip(0u8..)
        .map(|(codec, id)| CodecInfo {
            id,
            digest: codec.file.sha256.clone(),
            name: codec.name.clone(),
            split: Split::as_u8(codec.split),
            rates: u8::try_from(codec.rates.len()).unwrap_or(u8::MAX),
        });
    let welcome = Welcome {
        session,
        server: SERVER.to_owned(),
        model: model.manifest.digest.clone(),
        codecs: codecs.collect(),
        limits: limits(&app.config),
        pings: true,
    };
    let top_k = hello.top_k.unwrap_or(DEFAULT_TOP_K);
    Ok((
        Agreement {
            session,
            model: index,
            top_k,
            generation,
        },
        welcome,
    ))
}
