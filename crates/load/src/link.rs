//! A client's end of the protocol: connect, hello, frames, answers.

use std::time::Duration;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config};
use wire::{
    ClientMessage, ErrorMessage, FrameResult, Hello, MessageError, SUBPROTOCOL, ServerMessage,
    Welcome,
};

use crate::trust::{Trust, TrustError};

/// Connecting and greeting may take so long.
const PATIENCE: Duration = Duration::from_secs(10);

/// A link that did not come up, or broke.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The address is none.
    #[error(
        "`{0}` is no address such as ws://127.0.0.1:8080/v1/stream or wss://example.org/v1/stream"
    )]
    Address(String),
    /// There is nobody to vouch for the server.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// No connection.
    #[error("no connection to {address}: {why}")]
    Connect {
        /// Where to.
        address: String,
        /// What the system said.
        why: std::io::Error,
    },
    /// The WebSocket broke, or never came up.
    #[error("the WebSocket failed: {0}")]
    Socket(#[from] Box<SocketError>),
    /// A message that is none of the protocol.
    #[error(transparent)]
    Message(#[from] MessageError),
    /// The server refused.
    #[error("the server refused: {} ({})", .0.message, .0.hint)]
    Refused(ErrorMessage),
    /// The server closed the connection.
    #[error("the server closed the connection: {reason} ({code})")]
    Closed {
        /// The close code; 1006 when the connection just ended.
        code: u16,
        /// In words.
        reason: String,
    },
    /// Nothing happened in time.
    #[error("the server did not answer in time")]
    TimedOut,
}

/// Where a server is, and what opens its door.
#[derive(Debug, Clone)]
pub struct Address {
    /// Such as `ws://127.0.0.1:8080/v1/stream`, or `wss://` for TLS.
    pub url: String,
    /// The bearer token, where the server asks for one.
    pub token: Option<String>,
    /// For `wss://`: who vouches for the server. When absent the system's authorities do, which are
    /// read anew for every connection.
    pub trust: Option<Trust>,
}

impl Address {
    /// A server that asks for no token, and that the system's authorities know where TLS is spoken.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            token: None,
            trust: None,
        }
    }
}

/// What a server says of a frame.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Its answer.
    Result(FrameResult),
    /// It was refused, or something else was.
    Error(ErrorMessage),
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// An open session; the two halves can be used side by side.
#[derive(Debug)]
pub struct Link {
    /// For frames.
    pub sender: Sender,
    /// For what the server says of them.
    pub receiver: Receiver,
    /// What the server allows and offers.
    pub welcome: Welcome,
}

impl Link {
    /// Connects, greets, and waits for the welcome.
    ///
    /// # Errors
    ///
    /// When there is no server, or it refuses.
    pub async fn open(address: &Address, hello: Hello) -> Result<Self, LinkError> {
        timeout(PATIENCE, Self::greet(address, hello))
            .await
            .map_err(|_| LinkError::TimedOut)?
    }

    async fn greet(address: &Address, hello: Hello) -> Result<Self, LinkError> {
        let bad = || LinkError::Address(address.url.clone());
        let mut request = address
            .url
            .as_str()
            .into_client_request()
            .map_err(|_| bad())?;
        let uri = request.uri().clone();
        let (connector, port) = match uri.scheme_str() {
            Some("ws") => (Connector::Plain, 80),
            Some("wss") => {
                let trust = match &address.trust {
                    Some(trust) => trust.clone(),
                    None => Trust::system()?,
                };
                (Connector::Rustls(trust.config()), 443)
            }
            _ => return Err(bad()),
        };
        let host = uri.host().ok_or_else(bad)?;
        let headers = request.headers_mut();
        headers.insert(
            SEC_WEBSOCKET_PROTOCOL,
            HeaderValue::from_static(SUBPROTOCOL),
        );
        if let Some(token) = &address.token {
            let bearer = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| bad())?;
            headers.insert(AUTHORIZATION, bearer);
        }
        let target = format!("{host}:{}", uri.port_u16().unwrap_or(port));
        let stream = TcpStream::connect(&target)
            .await
            .and_then(|stream| stream.set_nodelay(true).map(|()| stream))
            .map_err(|why| LinkError::Connect {
                address: target,
                why,
            })?;
        let (socket, _) = client_async_tls_with_config(request, stream, None, Some(connector))
            .await
            .map_err(Box::new)?;
        let (write, read) = socket.split();
        let (mut sender, mut receiver) = (Sender { write }, Receiver { read });
        sender.text(ClientMessage::Hello(hello).to_json()?).await?;
        match receiver.message().await? {
            ServerMessage::Welcome(welcome) => Ok(Self {
                sender,
                receiver,
                welcome,
            }),
            ServerMessage::Error(error) => Err(LinkError::Refused(error)),
            _ => Err(LinkError::Closed {
                code: 1002,
                reason: "the first message was no welcome".to_owned(),
            }),
        }
    }
}

/// The sending half.
#[derive(Debug)]
pub struct Sender {
    write: SplitSink<Socket, Message>,
}

impl Sender {
    /// Sends a frame.
    ///
    /// # Errors
    ///
    /// When the connection is gone.
    pub async fn frame(&mut self, message: Vec<u8>) -> Result<(), LinkError> {
        self.send(Message::binary(message)).await
    }

    /// Says farewell; the server answers by closing.
    ///
    /// # Errors
    ///
    /// When the connection is gone.
    pub async fn close(&mut self) -> Result<(), LinkError> {
        self.send(Message::Close(None)).await
    }

    async fn text(&mut self, text: String) -> Result<(), LinkError> {
        self.send(Message::text(text)).await
    }

    async fn send(&mut self, message: Message) -> Result<(), LinkError> {
        Ok(self.write.send(message).await.map_err(Box::new)?)
    }
}

/// The receiving half.
#[derive(Debug)]
pub struct Receiver {
    read: SplitStream<Socket>,
}

impl Receiver {
    /// What the server says next. Pings are answered on the way. May be dropped and called again.
    ///
    /// # Errors
    ///
    /// When the server closes the connection, or it breaks.
    pub async fn next(&mut self) -> Result<Event, LinkError> {
        loop {
            match self.message().await? {
                ServerMessage::Result(result) => return Ok(Event::Result(result)),
                ServerMessage::Error(error) => return Ok(Event::Error(error)),
                // A message of a later minor version: nothing depends on it.
                _ => {}
            }
        }
    }

    async fn message(&mut self) -> Result<ServerMessage, LinkError> {
        loop {
            match self.read.next().await {
                Some(Ok(Message::Text(text))) => return Ok(ServerMessage::parse(&text)?),
                Some(Ok(Message::Close(frame))) => {
                    let (code, reason) = frame.map_or((1005, String::new()), |frame| {
                        (frame.code.into(), frame.reason.to_string())
                    });
                    return Err(LinkError::Closed { code, reason });
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(Box::new(error).into()),
                None => {
                    return Err(LinkError::Closed {
                        code: 1006,
                        reason: "the connection ended".to_owned(),
                    });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;
    use tokio_tungstenite::accept_hdr_async;
    use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
    use wire::{ErrorCode, Limits, Pong};

    use super::*;

    fn hello() -> Hello {
        Hello {
            client: "test".to_owned(),
            model: "a".repeat(64),
            codec: "b".repeat(64),
            split: 0,
            rate: 0,
            top_k: None,
            backend: None,
        }
    }

    #[allow(clippy::result_large_err, reason = "the library wants the callback so")]
    fn speak(_: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
        let protocol = HeaderValue::from_static(SUBPROTOCOL);
        response
            .headers_mut()
            .insert(SEC_WEBSOCKET_PROTOCOL, protocol);
        Ok(response)
    }

    #[tokio::test]
    async fn pongs_of_nobodys_pings_are_passed_over() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/v1/stream", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut socket = accept_hdr_async(stream, speak).await.unwrap();
            socket.next().await.unwrap().unwrap();
            let welcome = Welcome {
                session: 1,
                server: "test".to_owned(),
                model: "a".repeat(64),
                codecs: Vec::new(),
                limits: Limits::default(),
                pings: true,
            };
            let busy = ErrorMessage::new(ErrorCode::Overloaded, "busy", "");
            for message in [
                ServerMessage::Welcome(welcome),
                ServerMessage::Pong(Pong { id: 9 }),
                ServerMessage::Error(busy),
            ] {
                let text = message.to_json().unwrap();
                socket.send(Message::text(text)).await.unwrap();
            }
            socket.next().await
        });
        let address = Address::new(url);
        let mut link = Link::open(&address, hello()).await.unwrap();
        assert!(link.welcome.pings);
        let Event::Error(error) = link.receiver.next().await.unwrap() else {
            panic!("the pong is no event");
        };
        assert_eq!(error.code, ErrorCode::Overloaded);
        link.sender.close().await.unwrap();
        server.await.unwrap();
    }
}
