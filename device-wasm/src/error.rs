//! What can go wrong on the device, said so that a page can show it.

use aecnn::UnknownSplit;
use aecnn::codec::CodecError;
use aecnn::manifest::ManifestError;
use aecnn::preprocess::PreprocessError;
use aecnn::weights::WeightsError;
use feature_codec::EncodeError;

/// An error of the device. Each has a stable [`name`](Self::name) for programs and a
/// [`hint`](Self::hint) for people.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The backend is not in this package, or the browser does not offer it.
    #[error("the backend `{backend}` is not available: {reason}")]
    BackendUnavailable {
        /// The backend that was asked for.
        backend: String,
        /// Why not.
        reason: String,
    },
    /// A value that no method takes.
    #[error("{0}")]
    InvalidArgument(String),
    /// An unknown split.
    #[error(transparent)]
    Split(#[from] UnknownSplit),
    /// The manifest is unusable, or a file is not the one that it names.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The weights are unusable.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The codec file is unusable.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// Files that do not belong together.
    #[error("the files do not belong together: {0}")]
    Mismatch(String),
    /// A frame was to go a way that is not loaded.
    #[error("{0} is not loaded")]
    WayNotLoaded(String),
    /// A method was called before `load`.
    #[error("no model is loaded")]
    NotLoaded,
    /// The source's pixels could not be read.
    #[error("the frame's pixels could not be read: {0}")]
    Capture(String),
    /// The picture does not fit its stated size.
    #[error(transparent)]
    Preprocess(#[from] PreprocessError),
    /// The latent could not be read back from the backend.
    #[error("the backend did not deliver the encoded feature: {0}")]
    Readback(String),
    /// The browser did not write a picture.
    #[error("the picture could not be compressed: {0}")]
    Compress(String),
    /// The entropy coder refused the symbols.
    #[error(transparent)]
    Code(#[from] EncodeError),
    /// The socket could not be opened.
    #[error("the connection failed: {0}")]
    Connection(String),
    /// The server sent something that is not of the protocol.
    #[error("the server's message could not be read: {0}")]
    Protocol(String),
    /// The server refused something.
    #[error("{message}")]
    Server {
        /// The code of the protocol.
        code: String,
        /// What was wrong.
        message: String,
        /// What would be right.
        hint: String,
        /// The frame that it is about.
        sequence: Option<u32>,
    },
}

impl DeviceError {
    /// The name that programs tell errors apart by.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::BackendUnavailable { .. } => "BackendUnavailable",
            Self::InvalidArgument(_) | Self::Split(_) => "InvalidArgument",
            Self::Manifest(_) | Self::Weights(_) | Self::Codec(_) | Self::Mismatch(_) => {
                "InvalidModel"
            }
            Self::NotLoaded => "NotLoaded",
            Self::WayNotLoaded(_) => "WayNotLoaded",
            Self::Capture(_) => "CaptureFailed",
            Self::Preprocess(_) | Self::Readback(_) | Self::Compress(_) | Self::Code(_) => {
                "EncodeFailed"
            }
            Self::Connection(_) => "ConnectionFailed",
            Self::Protocol(_) | Self::Server { .. } => "ServerError",
        }
    }

    /// What somebody can do about it.
    #[must_use]
    pub fn hint(&self) -> &str {
        match self {
            Self::BackendUnavailable { .. } => {
                "load the package of another backend; every browser with WebAssembly runs `cpu`"
            }
            Self::InvalidArgument(_) | Self::Split(_) => "see the types in device.d.ts",
            Self::Manifest(_) | Self::Weights(_) | Self::Codec(_) | Self::Mismatch(_) => {
                "reload without the browser's cache, and take manifest, weights and codec from one model folder"
            }
            Self::NotLoaded => "call load() first",
            Self::WayNotLoaded(_) => {
                "load what the way needs: load() or addCodec() for features, loadWhole() for the device's own answers"
            }
            Self::Capture(_) => {
                "give an ImageBitmap, VideoFrame, canvas or ImageData that is still open"
            }
            Self::Preprocess(_) => "give width * height * 4 bytes of RGBA",
            Self::Readback(_) => "reload the page; if it happens again, use the cpu backend",
            Self::Compress(_) => "choose JPEG: every browser writes it",
            Self::Code(_) => "choose a rate of the loaded codec",
            Self::Connection(_) => "check the server's address, and that the server runs",
            Self::Protocol(_) => "device and server may be of different versions: update both",
            Self::Server { hint, .. } => hint,
        }
    }
}
