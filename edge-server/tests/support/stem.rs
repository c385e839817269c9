//! The committed codec for the stem, and another one in its place.

use std::path::Path;

use aecnn::Variant;
use aecnn::codec::CodecFile;
use aecnn::manifest::{CodecEntry, FileEntry, Manifest};
use wire::{Frame, FrameHeader, Hello};

use super::hello;

/// What a device needs to know of it.
pub struct Stem {
    manifest: Manifest,
    /// The codec's number.
    pub index: usize,
    codec: CodecFile,
}

impl Stem {
    /// Reads a model's folder.
    pub fn read(folder: &Path) -> Self {
        let json = std::fs::read(folder.join("manifest.json")).unwrap();
        let manifest = Manifest::parse(&json).unwrap();
        let named = |name| move |codec: &CodecEntry| codec.name == name;
        let index = manifest.codecs.iter().position(named("klt-stem")).unwrap();
        let bytes = std::fs::read(folder.join(&manifest.codecs[index].file.file)).unwrap();
        Self {
            codec: CodecFile::parse(&bytes).unwrap(),
            manifest,
            index,
        }
    }

    /// Another codec of the same name in its place.
    pub fn replace(mut self, folder: &Path) -> Self {
        self.codec.fitted_to.push_str(", again");
        let bytes = self.codec.to_bytes(Variant::V1).unwrap();
        let entry = &mut self.manifest.codecs[self.index];
        entry.file = FileEntry::of(entry.file.file.clone(), &bytes);
        std::fs::write(folder.join(&entry.file.file), &bytes).unwrap();
        let json = serde_json::to_vec(&self.manifest).unwrap();
        std::fs::write(folder.join("manifest.json"), json).unwrap();
        self
    }

    /// The codec's digest.
    pub fn digest(&self) -> &str {
        &self.manifest.codecs[self.index].file.sha256
    }

    /// The hello of a device that uses it.
    pub fn hello(&self) -> Hello {
        Hello {
            codec: self.digest().to_owned(),
            split: self.codec.split.as_u8(),
            ..hello(&self.manifest)
        }
    }

    /// The frame of a feature without anything in it.
    pub fn frame(&self, sequence: u32) -> Vec<u8> {
        let rate = &self.codec.rates[0];
        let geometry = self.codec.geometry(rate.channels());
        let symbols = vec![0; rate.channels() * self.codec.positions()];
        let payload = rate.tables.encode(&symbols, geometry).unwrap();
        let header = FrameHeader {
            split: self.codec.split.as_u8(),
            codec: u8::try_from(self.index).unwrap(),
            rate: 0,
            sequence,
            capture_time_us: 0,
            channels: u16::try_from(rate.channels()).unwrap(),
        };
        Frame {
            header,
            payload: &payload,
        }
        .encode()
    }
}
