//! Everything that the server refuses or fails at, and how it says so: in one place for HTTP and
//! for sockets.

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::{ALLOW, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};
use feature_codec::DecodeError;
use wire::{ErrorCode, ErrorMessage, FrameError, MAX_TOP_K, MessageError, SUBPROTOCOL};

use crate::engine::QueueError;
use crate::guests::TooMuch;
use crate::oip;
use crate::picture::PictureError;

/// A refusal or a failure.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// A page that may not use this server.
    #[error("pages of the origin `{0}` may not use this server")]
    Origin(String),
    /// No token, or none that is known.
    #[error("this server computes only for those who show a token that it knows")]
    Unauthorized,
    /// The address or the server has more connections, frames or bytes than allowed.
    #[error(transparent)]
    TooMuch(#[from] TooMuch),
    /// A WebSocket of another protocol, or of none.
    #[error("the client does not speak the WebSocket subprotocol {SUBPROTOCOL}")]
    Subprotocol,
    /// Not a WebSocket at all.
    #[error("this address is for WebSockets: {0}")]
    NoWebSocket(String),
    /// As many devices are connected as the server takes.
    #[error("{0} devices are connected already")]
    TooManyClients(u32),
    /// No hello in time.
    #[error("no hello arrived within {0} ms")]
    HelloTimeout(u32),
    /// Nothing was heard for too long.
    #[error("nothing was heard for {0} ms, not even an answer to a ping")]
    IdleTimeout(u32),
    /// A text that is no message.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// A message at the wrong time.
    #[error("{0} is not expected here")]
    OutOfTurn(&'static str),
    /// A model that is not served.
    #[error("this server does not serve the model {0}")]
    Model(String),
    /// A codec that is not served.
    #[error("the model has no codec {0}")]
    Codec(String),
    /// A rate that the codec does not have.
    #[error("the codec has {rates} rates, so there is no rate {rate}")]
    Rate {
        /// The rate that was named.
        rate: u8,
        /// The codec's number of rates.
        rates: usize,
    },
    /// A split that is not the codec's.
    #[error("the codec cuts the network at split {expected}, not at split {got}")]
    Split {
        /// The split that was named.
        got: u8,
        /// The codec's.
        expected: u8,
    },
    /// More channels than the rate has.
    #[error("the frame holds {got} channels; the rate has {most}")]
    Channels {
        /// The frame's.
        got: u16,
        /// The rate's.
        most: usize,
    },
    /// A binary message that is no frame.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A payload that does not decode.
    #[error("the payload does not decode: {0}")]
    Payload(#[from] DecodeError),
    /// Symbols so extreme that the network has no answer.
    #[error("the payload decodes to values that are out of all proportion")]
    Extreme,
    /// A message above the socket's limit.
    #[error("the message is longer than {0} bytes")]
    TooLarge(usize),
    /// Bytes that break the WebSocket protocol itself.
    #[error("the WebSocket protocol was broken: {0}")]
    Broken(String),
    /// Too many frames without an answer.
    #[error("{0} frames of this connection wait for an answer already")]
    TooManyInFlight(u16),
    /// Too many frames a second.
    #[error("more than {0} frames a second")]
    TooFast(u16),
    /// The queue is full, the engine failed, or the server ends.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// A body that is no usable picture.
    #[error(transparent)]
    Picture(#[from] PictureError),
    /// A body that is too long.
    #[error("the body is longer than {0} bytes")]
    BodyTooLarge(u32),
    /// A body that did not arrive.
    #[error("the body did not arrive: {0}")]
    Body(String),
    /// A request of the Open Inference Protocol whose body is none.
    #[error(transparent)]
    InferMessage(#[from] oip::message::MessageError),
    /// A request of the Open Inference Protocol for something else than is offered.
    #[error("the request does not fit the model: {0}")]
    Infer(String),
    /// A query that does not parse.
    #[error("the query of the address is not readable: {0}")]
    Query(String),
    /// There is nothing at this address.
    #[error("there is nothing at this address")]
    NotFound,
    /// Another method is needed.
    #[error("this address does not take this method")]
    Method,
    /// A fault of the server.
    #[error("the server failed: {0}")]
    Internal(String),
}

impl Refusal {
    /// The protocol's code for it.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Message(error) => error.code(),
            Self::Frame(error) => error.code(),
            Self::Origin(_) | Self::Subprotocol | Self::NoWebSocket(_) | Self::OutOfTurn(_) => {
                ErrorCode::UnexpectedMessage
            }
            Self::Unauthorized => ErrorCode::Unauthorized,
            Self::TooMuch(TooMuch::Frames(_) | TooMuch::Bytes(_)) => ErrorCode::TooFast,
            Self::TooMuch(_) => ErrorCode::Overloaded,
            Self::HelloTimeout(_) => ErrorCode::HelloTimeout,
            Self::IdleTimeout(_) => ErrorCode::IdleTimeout,
            Self::Model(_) => ErrorCode::UnknownModel,
            Self::Codec(_) => ErrorCode::UnknownCodec,
            Self::Rate { .. } => ErrorCode::UnknownRate,
            Self::Split { .. } => ErrorCode::WrongSplit,
            Self::Channels { .. } => ErrorCode::BadFrame,
            Self::Payload(_) | Self::Extreme => ErrorCode::BadPayload,
            Self::TooLarge(_) | Self::BodyTooLarge(_) => ErrorCode::TooLarge,
            Self::TooManyInFlight(_) => ErrorCode::TooManyInFlight,
            Self::TooFast(_) => ErrorCode::TooFast,
            Self::TooManyClients(_) | Self::Queue(QueueError::Full(_)) => ErrorCode::Overloaded,
            Self::Queue(QueueError::Superseded) => ErrorCode::Superseded,
            Self::Queue(QueueError::Expired(_)) => ErrorCode::Expired,
            Self::Queue(QueueError::Closed) => ErrorCode::ShuttingDown,
            Self::Picture(_) => ErrorCode::BadPicture,
            Self::Broken(_)
            | Self::Query(_)
            | Self::Infer(_)
            | Self::InferMessage(_)
            | Self::NotFound
            | Self::Method
            | Self::Body(_) => ErrorCode::BadMessage,
            Self::Queue(QueueError::Failed(_)) | Self::Internal(_) => ErrorCode::Internal,
        }
    }

    /// What would be right, or what to do.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Origin(origin) => {
                format!(
                    "open the server's own page, or start the server with --allow-origin {origin}"
                )
            }
            Self::Unauthorized => "send the header Authorization: Bearer <token>, or with a \
                WebSocket the subprotocol bearer.<token> beside the protocol's own"
                .to_owned(),
            Self::TooMuch(_) => "close connections that are not needed, or send less".to_owned(),
            Self::Subprotocol => format!("connect with the subprotocol {SUBPROTOCOL}"),
            Self::NoWebSocket(_) => "connect with a WebSocket client".to_owned(),
            Self::TooManyClients(_) | Self::Queue(QueueError::Full(_) | QueueError::Expired(_)) => {
                "try again in a moment".to_owned()
            }
            Self::Queue(QueueError::Superseded) => {
                "wait for an answer before sending the next frame".to_owned()
            }
            Self::HelloTimeout(_) => "send a hello as the first message".to_owned(),
            Self::IdleTimeout(_) => {
                "answer pings, and connect again when there is a frame".to_owned()
            }
            Self::Message(MessageError::TooLong { limit, .. }) => {
                format!("keep text messages within {limit} bytes")
            }
            Self::Message(_) => "send a hello as docs/PROTOCOL.md describes it".to_owned(),
            Self::OutOfTurn(_) => "one hello first, then frames".to_owned(),
            Self::Model(_) | Self::Codec(_) => {
                "load the model and its codecs anew from this server: GET /v1/models".to_owned()
            }
            Self::Rate { rates, .. } => {
                format!("choose a rate from 0 to {}", rates.saturating_sub(1))
            }
            Self::Split { expected, .. } => format!("name split {expected} with this codec"),
            Self::Channels { most, .. } => format!("send at most {most} channels"),
            Self::Frame(_) | Self::Broken(_) => {
                "send frames as docs/PROTOCOL.md describes them".to_owned()
            }
            Self::Payload(_) | Self::Extreme => {
                "encode with the codec file and the rate that the frame's header names".to_owned()
            }
            Self::TooLarge(limit) => format!("keep messages within {limit} bytes"),
            Self::TooManyInFlight(most) => {
                format!(
                    "wait for an answer before sending the next frame; {most} may be on their way"
                )
            }
            Self::TooFast(most) => format!("send at most {most} frames a second"),
            Self::Queue(QueueError::Closed) => "connect again in a moment".to_owned(),
            Self::Queue(QueueError::Failed(_)) | Self::Internal(_) => {
                "try again; the server's log says more".to_owned()
            }
            Self::Picture(_) => {
                "send a whole JPEG, PNG or WebP picture, in the format that is named where one is"
                    .to_owned()
            }
            Self::BodyTooLarge(limit) => format!("send at most {limit} bytes"),
            Self::Body(_) => "send the whole body within half a minute".to_owned(),
            Self::Infer(_) | Self::InferMessage(_) => {
                "ask GET /v2/models/<name> for names, types and shapes".to_owned()
            }
            Self::Query(_) => {
                format!("known here: model=<name>, top_k=<1 to {MAX_TOP_K}>")
            }
            Self::NotFound => "the page is at /, the models are listed at /v1/models".to_owned(),
            Self::Method => "GET for pages and lists, POST for /v1/classify".to_owned(),
        }
    }

    /// The HTTP status for it.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Origin(_) => StatusCode::FORBIDDEN,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::TooMuch(TooMuch::Connections(_)) => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooMuch(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::NoWebSocket(_) => StatusCode::UPGRADE_REQUIRED,
            Self::Model(_) | Self::NotFound => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooManyClients(_)
            | Self::Queue(
                QueueError::Full(_)
                | QueueError::Superseded
                | QueueError::Expired(_)
                | QueueError::Closed,
            ) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Queue(QueueError::Failed(_)) | Self::Internal(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            Self::Picture(PictureError::Format) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Picture(PictureError::TooLarge) | Self::TooLarge(_) | Self::BodyTooLarge(_) => {
                StatusCode::PAYLOAD_TOO_LARGE
            }
            Self::Picture(PictureError::Damaged(_) | PictureError::Preprocess(_)) => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            Self::Body(_) => StatusCode::REQUEST_TIMEOUT,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// Whether it ends a connection. What costs one frame only does not; nor does a failure of the
    /// server's own engine, which the next frame may not meet.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        !matches!(self, Self::Queue(QueueError::Failed(_))) && self.code().is_fatal()
    }

    /// The message that tells the client, about the frame `sequence` where it is about one.
    #[must_use]
    pub fn message(&self, sequence: Option<u32>) -> ErrorMessage {
        ErrorMessage {
            code: self.code(),
            message: self.to_string(),
            hint: self.hint(),
            sequence,
            ping: None,
            fatal: self.is_fatal(),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = self.status();
        if status.is_server_error() && status != StatusCode::SERVICE_UNAVAILABLE {
            tracing::error!(error = %self, "request failed");
        }
        let headers: &[(HeaderName, HeaderValue)] = match status {
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                &[(RETRY_AFTER, HeaderValue::from_static("1"))]
            }
            StatusCode::UNAUTHORIZED => &[(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))],
            StatusCode::METHOD_NOT_ALLOWED => {
                &[(ALLOW, HeaderValue::from_static("GET, HEAD, POST"))]
            }
            _ => &[],
        };
        let mut response = (status, Json(self.message(None))).into_response();
        response.headers_mut().extend(headers.iter().cloned());
        // For whoever counts refusals.
        response.extensions_mut().insert(self.code());
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_costs_one_frame_keeps_the_connection() {
        for mild in [
            Refusal::TooManyInFlight(4),
            Refusal::TooFast(60),
            Refusal::Queue(QueueError::Full(64)),
            Refusal::Queue(QueueError::Failed("why".to_owned())),
            Refusal::Queue(QueueError::Superseded),
            Refusal::Queue(QueueError::Expired(std::time::Duration::from_secs(2))),
        ] {
            assert!(!mild.message(Some(7)).fatal, "{mild}");
        }
        for grave in [
            Refusal::Extreme,
            Refusal::TooLarge(9),
            Refusal::Model("m".to_owned()),
        ] {
            assert!(grave.message(None).fatal, "{grave}");
        }
    }

    #[test]
    fn statuses_tell_whose_fault_it_is() {
        for (refusal, status) in [
            (Refusal::Origin("https://a".to_owned()), 403),
            (Refusal::BodyTooLarge(1), 413),
            (Refusal::Picture(PictureError::Format), 415),
            (Refusal::Queue(QueueError::Full(1)), 503),
            (Refusal::Queue(QueueError::Failed(String::new())), 500),
            (Refusal::NotFound, 404),
        ] {
            assert_eq!(refusal.into_response().status(), status);
        }
    }
}
