//! What the tests share: a tiny model, an engine that answers by its input, a server on a free
//! port, and two small clients.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "a module of several test programs, each of which uses its own part of it"
)]

pub mod process;
pub mod stem;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aecnn::codec::{CodecFile, Method, Network, Rate, Transform};
use aecnn::digest::sha256_hex;
use aecnn::manifest::{
    CodecEntry, FORMAT, FileEntry, Manifest, PartEntry, Provenance, RateEntry, VERSION,
};
use aecnn::preprocess::Preprocessing;
use aecnn::resnet::part_names;
use aecnn::{Split, Variant};
use clap::Parser;
use edge_server::app::App;
use edge_server::catalogue::Catalogue;
use edge_server::config::Config;
use edge_server::engine::{Engine, EngineError, Inference, Input, Output};
use edge_server::metrics::Metrics;
use edge_server::page::Page;
use edge_server::server::serve;
use feature_codec::{Counts, Geometry, Symbol, Tables};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};
use wire::{
    ClientMessage, ErrorMessage, Frame, FrameHeader, Hello, PictureFormat, PictureFrame,
    PictureHeader, Ping, ServerMessage, Welcome,
};

pub const CLASSES: usize = 10;
/// Latent channels of the test's codec, and positions in each.
pub const CHANNELS: usize = 4;
pub const GEOMETRY: Geometry = Geometry {
    channels: CHANNELS,
    rows: 7,
    columns: 7,
};
/// Nothing in these tests may take longer.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// First symbols of a frame to which the fake engine answers in a special way.
pub const PANIC: Symbol = 77;
pub const SLOW: Symbol = 78;
pub const NO_NUMBER: Symbol = 79;
/// How long a slow frame takes.
pub const SLOW_TIME: Duration = Duration::from_millis(800);

/// Answers a frame with the class that its first symbol names, a picture with class 3.
pub struct Fake;

impl Engine for Fake {
    fn run(&mut self, inputs: &[&Input]) -> Result<Output, EngineError> {
        let logits = inputs
            .iter()
            .map(|input| {
                let class = match input {
                    Input::Feature { .. } | Input::Picture { .. } => 3,
                    Input::Latent { symbols, .. } => match symbols[0] {
                        PANIC => panic!("asked to"),
                        SLOW => {
                            std::thread::sleep(SLOW_TIME);
                            0
                        }
                        NO_NUMBER => return vec![f32::NAN; CLASSES],
                        other => usize::try_from(other).unwrap() % CLASSES,
                    },
                };
                let mut logits = vec![0.0; CLASSES];
                logits[class] = 10.0;
                logits
            })
            .collect();
        let (restore, tail) = (Duration::from_micros(10), Duration::from_micros(20));
        Ok(Output {
            logits,
            restore,
            tail,
        })
    }
}

fn tables() -> Tables {
    let counts = Counts {
        min: -2,
        counts: vec![10, 100, 1000, 100, 10],
    };
    let channels: Vec<_> = (0..CHANNELS).map(|_| counts.clone()).collect();
    Tables::from_counts(&channels).unwrap()
}

/// A codec for stage 2 with one rate. Other words give it another digest.
fn codec(model: &str, fitted_to: &str) -> CodecFile {
    let feature = Variant::V1.feature_shape(Split::Stage2);
    let block = 2;
    let values = CHANNELS * feature.channels * block * block;
    let transform = Transform {
        feature,
        block,
        analysis: vec![0.0; values],
        analysis_bias: vec![0.0; CHANNELS],
        synthesis: vec![0.0; values],
        mean: vec![0.0; feature.channels * block * block],
        network: Network::default(),
    };
    let rate = Rate {
        name: "only".to_owned(),
        step: 1.0,
        rounding: 0.5,
        reconstruction: vec![1.0; CHANNELS],
        tables: tables(),
    };
    CodecFile::new(
        "test".to_owned(),
        Method::Klt,
        model.to_owned(),
        Split::Stage2,
        fitted_to.to_owned(),
        transform,
        vec![rate],
    )
    .unwrap()
}

/// Writes a model of no use but of the right form into `models/tiny`, and returns its manifest.
pub fn write_model(models: &Path) -> Manifest {
    write_model_with(models, "nothing")
}

/// The same with a codec that was fitted to something else, and so is another one.
pub fn write_model_with(models: &Path, fitted_to: &str) -> Manifest {
    let folder = models.join("tiny");
    std::fs::create_dir_all(&folder).unwrap();
    let write = |file: &str, bytes: &[u8]| {
        std::fs::write(folder.join(file), bytes).unwrap();
        FileEntry::of(file, bytes)
    };
    let parts = part_names().map(|name| PartEntry {
        name: name.to_owned(),
        file: write(&format!("{name}.safetensors"), name.repeat(100).as_bytes()),
    });
    let labels: Vec<_> = (0..CLASSES).map(|class| format!("class {class}")).collect();
    let mut manifest = Manifest {
        format: FORMAT.to_owned(),
        version: VERSION,
        name: "tiny".to_owned(),
        variant: Variant::V1,
        preprocessing: Preprocessing::keras(),
        classes: CLASSES,
        parts: parts.to_vec(),
        labels: write("labels.json", &serde_json::to_vec(&labels).unwrap()),
        codecs: Vec::new(),
        provenance: Provenance {
            source: "a test".to_owned(),
            source_sha256: sha256_hex(b""),
            licence: "MIT".to_owned(),
            attribution: "nobody".to_owned(),
        },
        digest: String::new(),
    };
    manifest.digest = manifest.network_digest();
    manifest.codecs.push(CodecEntry {
        name: "test".to_owned(),
        method: "klt".to_owned(),
        split: Split::Stage2,
        file: write(
            "test.codec",
            &codec(&manifest.digest, fitted_to)
                .to_bytes(Variant::V1)
                .unwrap(),
        ),
        device: None,
        rates: vec![RateEntry {
            name: "only".to_owned(),
            channels: CHANNELS,
            mean_bytes: 100.0,
            agreement: 1.0,
        }],
        default_rate: 0,
    });
    write("manifest.json", &serde_json::to_vec(&manifest).unwrap());
    manifest
}

/// The state of a server with the tiny model and the fake engine.
pub fn app(folder: &Path, flags: &[&str]) -> (Arc<App>, Manifest) {
    let models = folder.join("models");
    let manifest = write_model(&models);
    let arguments = ["edge-server", "--models", models.to_str().unwrap()];
    let config = Config::try_parse_from(arguments.iter().chain(flags)).unwrap();
    let catalogue = Arc::new(Catalogue::read(&config.models).unwrap());
    let metrics = Metrics::new().unwrap();
    let (_, queue) = Inference::start(config.rules(), metrics.clone(), || Ok(Fake)).unwrap();
    let page = Page::new(config.web_dir.as_deref()).unwrap();
    (App::new(config, catalogue, queue, page, metrics), manifest)
}

/// A server on a free port.
pub struct TestServer {
    pub address: SocketAddr,
    pub app: Arc<App>,
    pub manifest: Manifest,
    pub serving: JoinHandle<std::io::Result<()>>,
    pub folder: tempfile::TempDir,
}

impl TestServer {
    pub async fn start(flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (app, manifest) = app(folder.path(), flags);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(serve(listener, None, Arc::clone(&app)));
        Self {
            address,
            app,
            manifest,
            serving,
            folder,
        }
    }

    pub fn hello(&self) -> Hello {
        hello(&self.manifest)
    }

    /// A device that was let in.
    pub async fn device(&self) -> Device {
        let mut device = self.connect().await;
        device.hello(self.hello()).await;
        device
    }

    /// A socket without a hello.
    pub async fn connect(&self) -> Device {
        Device::connect(self.address).await
    }

    pub async fn try_connect(
        &self,
        protocol: Option<&str>,
        origin: Option<&str>,
    ) -> Result<Device, Box<Error>> {
        Device::try_connect(self.address, protocol, origin).await
    }

    /// Sends a request as it stands and reads the answer.
    pub async fn http(&self, request: impl AsRef<[u8]>) -> Answer {
        let exchange = async {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            stream.write_all(request.as_ref()).await.unwrap();
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).await.unwrap();
            bytes
        };
        Answer::parse(&timeout(PATIENCE, exchange).await.unwrap())
    }

    pub async fn get(&self, path: &str, headers: &str) -> Answer {
        self.http(format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{headers}\r\n",
            self.address
        ))
        .await
    }

    pub async fn post(&self, path: &str, headers: &str, body: &[u8]) -> Answer {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
            self.address,
            body.len()
        );
        self.http([head.as_bytes(), body].concat()).await
    }
}

pub fn hello(manifest: &Manifest) -> Hello {
    Hello {
        client: "test".to_owned(),
        model: manifest.digest.clone(),
        codec: manifest.codecs[0].file.sha256.clone(),
        split: Split::Stage2.as_u8(),
        rate: 0,
        top_k: None,
        backend: None,
    }
}

/// A whole HTTP answer.
pub struct Answer {
    pub status: u16,
    head: String,
    pub body: Vec<u8>,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .unwrap();
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self {
            status,
            head,
            body: bytes[end + 4..].to_vec(),
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub fn json<T: serde::de::DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// A client on a socket.
pub struct Device {
    pub socket: WebSocketStream<TcpStream>,
}

impl Device {
    /// A socket without a hello.
    pub async fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address, Some(wire::SUBPROTOCOL), None)
            .await
            .unwrap()
    }

    async fn try_connect(
        address: SocketAddr,
        protocol: Option<&str>,
        origin: Option<&str>,
    ) -> Result<Self, Box<Error>> {
        let mut request = format!("ws://{address}/v1/stream")
            .into_client_request()
            .unwrap();
        let headers = request.headers_mut();
        if let Some(protocol) = protocol {
            headers.insert("sec-websocket-protocol", protocol.parse().unwrap());
        }
        if let Some(origin) = origin {
            headers.insert("origin", origin.parse().unwrap());
        }
        let stream = TcpStream::connect(address).await.unwrap();
        let (socket, _) = tokio_tungstenite::client_async(request, stream)
            .await
            .map_err(Box::new)?;
        Ok(Self { socket })
    }

    pub async fn hello(&mut self, hello: Hello) -> Welcome {
        self.text(&ClientMessage::Hello(hello).to_json().unwrap())
            .await;
        match self.receive().await {
            Ok(ServerMessage::Welcome(welcome)) => welcome,
            other => panic!("expected a welcome, got {other:?}"),
        }
    }

    pub async fn text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    pub async fn binary(&mut self, bytes: Vec<u8>) {
        self.socket.send(Message::binary(bytes)).await.unwrap();
    }

    /// Sends a ping of the protocol, with so many bytes of padding.
    pub async fn ping(&mut self, id: u32, padding: usize) {
        let padding = "x".repeat(padding);
        let ping = ClientMessage::Ping(Ping { id, padding });
        self.text(&ping.to_json().unwrap()).await;
    }

    pub async fn send_frame(&mut self, sequence: u32, first: Symbol) {
        self.binary(frame(sequence, first)).await;
    }

    /// The next message, or how the server closed.
    pub async fn receive(&mut self) -> Result<ServerMessage, Option<CloseFrame>> {
        loop {
            match timeout(PATIENCE, self.socket.next())
                .await
                .expect("an answer in time")
            {
                Some(Ok(Message::Text(text))) => return Ok(ServerMessage::parse(&text).unwrap()),
                Some(Ok(Message::Close(frame))) => return Err(frame),
                Some(Ok(_)) => {}
                None => return Err(None),
                Some(Err(error)) => panic!("the socket broke: {error}"),
            }
        }
    }

    /// The class of the next answer, and the batch it was computed in.
    pub async fn class(&mut self) -> (u32, u16, u16) {
        match self.receive().await {
            Ok(ServerMessage::Result(result)) => {
                (result.sequence, result.top[0].class, result.batch)
            }
            other => panic!("expected a result, got {other:?}"),
        }
    }

    pub async fn error(&mut self) -> ErrorMessage {
        match self.receive().await {
            Ok(ServerMessage::Error(error)) => error,
            other => panic!("expected an error, got {other:?}"),
        }
    }

    /// An error and the close that follows: the error, the close code and its reason.
    pub async fn refused(&mut self) -> (ErrorMessage, u16, String) {
        let error = self.error().await;
        assert!(error.fatal, "{error:?}");
        match self.receive().await {
            Err(Some(frame)) => (error, frame.code.into(), frame.reason.to_string()),
            other => panic!("expected a close, got {other:?}"),
        }
    }
}

/// A right frame whose first symbol is `first`.
pub fn frame(sequence: u32, first: Symbol) -> Vec<u8> {
    let mut symbols = vec![0; CHANNELS * GEOMETRY.rows * GEOMETRY.columns];
    symbols[0] = first;
    let payload = tables().encode(&symbols, GEOMETRY).unwrap();
    Frame {
        header: header(sequence),
        payload: &payload,
    }
    .encode()
}

pub fn header(sequence: u32) -> FrameHeader {
    FrameHeader {
        split: Split::Stage2.as_u8(),
        codec: 0,
        rate: 0,
        sequence,
        capture_time_us: 1_700_000_000_000_000,
        channels: u16::try_from(CHANNELS).unwrap(),
    }
}

/// A frame that is a picture.
pub fn picture_frame(sequence: u32, format: PictureFormat, payload: &[u8]) -> Vec<u8> {
    let header = PictureHeader {
        format,
        sequence,
        capture_time_us: header(0).capture_time_us,
    };
    PictureFrame { header, payload }.encode()
}
