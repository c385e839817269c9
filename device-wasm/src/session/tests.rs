use wire::{CodecInfo, ErrorCode, Pong, Prediction, Timings};

use super::*;

const MODEL: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const CODEC: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

fn hello() -> Hello {
    Hello {
        client: "test".to_owned(),
        model: MODEL.to_owned(),
        codec: CODEC.to_owned(),
        split: 0,
        rate: 0,
        top_k: None,
        backend: None,
    }
}

fn welcome(codec_digest: &str) -> String {
    let welcome = Welcome {
        session: 7,
        server: "server 1".to_owned(),
        model: MODEL.to_owned(),
        codecs: vec![CodecInfo {
            id: 3,
            digest: codec_digest.to_owned(),
            name: "klt".to_owned(),
            split: 0,
            rates: 2,
        }],
        limits: Limits::default(),
        pings: true,
    };
    ServerMessage::Welcome(welcome).to_json().unwrap()
}

fn ready() -> Session {
    let mut session = Session::new(hello());
    session.connect(hello());
    session.opened();
    session.text(&welcome(CODEC));
    assert_eq!(session.codec_id(CODEC), Some(3));
    session
}

fn state(actions: &[Action]) -> Option<&SessionState> {
    actions.iter().find_map(|action| match action {
        Action::State(state) => Some(state),
        _ => None,
    })
}

fn opens(actions: &[Action]) -> bool {
    actions.iter().any(|action| matches!(action, Action::Open))
}

#[test]
fn greets_and_becomes_ready() {
    let mut session = Session::new(hello());
    let actions = session.connect(hello());
    assert!(opens(&actions));
    assert_eq!(
        state(&actions),
        Some(&SessionState::Connecting { attempt: 1 })
    );
    assert_eq!(session.codec_id(CODEC), None, "no frame before the welcome");
    assert_eq!((session.number(), session.limits()), (None, None));

    let actions = session.opened();
    let [Action::SendText(text)] = actions.as_slice() else {
        panic!("expected the hello, not {actions:?}");
    };
    assert_eq!(
        ClientMessage::parse(text).unwrap(),
        ClientMessage::Hello(hello())
    );

    let actions = session.text(&welcome(CODEC));
    assert_eq!(
        state(&actions),
        Some(&SessionState::Ready {
            session: 7,
            server: "server 1".to_owned()
        })
    );
    assert_eq!(session.codec_id(CODEC), Some(3));
    assert_eq!(session.codec_id(MODEL), None, "the server does not have it");
    assert_eq!(session.number(), Some(7));
    assert_eq!(session.limits(), Some(Limits::default()));
}

#[test]
fn a_broken_link_is_tried_again_after_longer_and_longer_waits() {
    let mut session = ready();
    let actions = session.closed(ABNORMAL, "", 1.0, 1);
    assert_eq!(
        state(&actions),
        Some(&SessionState::Waiting {
            retry_in_ms: 250.0,
            code: ABNORMAL,
            reason: "the connection broke off".to_owned(),
            lost_frames: 1,
        })
    );
    assert_eq!(session.codec_id(CODEC), None);
    assert!(opens(&session.timer(1.0, 0)));

    let actions = session.closed(ABNORMAL, "", 1.0, 0);
    let Some(SessionState::Waiting {
        retry_in_ms,
        reason,
        ..
    }) = state(&actions)
    else {
        panic!("expected to wait, not {actions:?}");
    };
    assert_eq!(*retry_in_ms, 500.0);
    assert!(reason.contains("could not be reached"), "{reason}");

    let actions = session.timer(1.0, 0);
    assert_eq!(
        state(&actions),
        Some(&SessionState::Connecting { attempt: 3 })
    );
    session.opened();
    session.text(&welcome(CODEC));
    let actions = session.closed(close::GOING_AWAY, "", 1.0, 0);
    let Some(SessionState::Waiting { retry_in_ms, .. }) = state(&actions) else {
        panic!("expected to wait, not {actions:?}");
    };
    assert_eq!(*retry_in_ms, 250.0, "a welcome resets the backoff");
}

#[test]
fn a_refusal_that_would_repeat_is_the_end() {
    let mut session = Session::new(hello());
    session.connect(hello());
    session.opened();
    let error = ErrorMessage::new(ErrorCode::UnknownModel, "no such model", "reload the page");
    let actions = session.text(&ServerMessage::Error(error).to_json().unwrap());
    let [Action::Fail(error)] = actions.as_slice() else {
        panic!("expected an error, not {actions:?}");
    };
    assert_eq!(error.name(), "ServerError");
    assert_eq!(error.hint(), "reload the page");
    assert!(matches!(error, DeviceError::Server { code, .. } if code == "unknown_model"));

    let actions = session.closed(close::NOT_SERVED, "", 1.0, 0);
    assert_eq!(
        state(&actions),
        Some(&SessionState::Closed {
            code: close::NOT_SERVED,
            reason: "no such model".to_owned()
        })
    );
    assert!(session.timer(1.0, 0).is_empty(), "no further attempt");
}

#[test]
fn a_server_without_the_codec_is_left() {
    let mut session = Session::new(hello());
    session.connect(hello());
    session.opened();
    let actions = session.text(&welcome(MODEL));
    assert!(matches!(state(&actions), Some(SessionState::Closed { .. })));
    assert!(
        actions
            .iter()
            .any(|action| matches!(action, Action::Close { .. }))
    );
    assert_eq!(session.codec_id(CODEC), None);
}

#[test]
fn silence_counts_as_a_broken_link() {
    let mut session = Session::new(hello());
    session.connect(hello());
    let actions = session.timer(1.0, 0);
    assert!(matches!(actions.first(), Some(Action::Close { .. })));
    assert!(matches!(
        state(&actions),
        Some(SessionState::Waiting { .. })
    ));

    let mut session = ready();
    assert!(matches!(
        session.traffic(1).as_slice(),
        [Action::StartTimer(ANSWER_TIMEOUT_MS)]
    ));
    assert!(matches!(session.traffic(0).as_slice(), [Action::StopTimer]));
    let actions = session.timer(1.0, 1);
    assert!(matches!(
        state(&actions),
        Some(SessionState::Waiting { lost_frames: 1, .. })
    ));
}

#[test]
fn answers_are_passed_on_and_nonsense_is_reported() {
    let mut session = ready();
    let result = FrameResult {
        sequence: 9,
        capture_time_us: 12,
        top: vec![Prediction {
            class: 1,
            label: "goldfish".to_owned(),
            probability: 0.5,
        }],
        timings: Timings::default(),
        batch: 1,
        payload_bytes: 100,
    };
    let text = ServerMessage::Result(result.clone()).to_json().unwrap();
    let actions = session.text(&text);
    assert!(
        matches!(actions.as_slice(), [Action::Answer { result: answer, bytes }] if *answer == result && *bytes == text.len())
    );

    let actions = session.text("{\"type\":\"cake\"}");
    assert!(
        matches!(actions.as_slice(), [Action::Fail(error)] if error.name() == "ServerError"),
        "{actions:?}"
    );
    assert_eq!(session.codec_id(CODEC), Some(3), "the session goes on");
}

#[test]
fn pings_are_for_servers_that_answer_them() {
    assert!(!Session::new(hello()).answers_pings());
    let mut session = ready();
    assert!(session.answers_pings());
    let text = ServerMessage::Pong(Pong { id: 4 }).to_json().unwrap();
    assert!(
        matches!(session.text(&text).as_slice(), [Action::Pong { id: 4, bytes }] if *bytes == text.len())
    );
    let refused = ErrorMessage::new(ErrorCode::TooFast, "slower", "").about_ping(5);
    let text = ServerMessage::Error(refused).to_json().unwrap();
    assert!(
        matches!(session.text(&text).as_slice(), [Action::PingRefused(5)]),
        "the page does not hear of it"
    );

    let mut session = Session::new(hello());
    session.connect(hello());
    session.opened();
    session.text(&welcome(CODEC).replace(",\"pings\":true", ""));
    assert!(session.number().is_some() && !session.answers_pings());
}

#[test]
fn disconnecting_is_the_end_in_every_phase() {
    let mut waiting = ready();
    waiting.closed(ABNORMAL, "", 1.0, 0);
    for mut session in [ready(), waiting] {
        let actions = session.disconnect();
        assert!(matches!(
            state(&actions),
            Some(SessionState::Closed { code: 1000, .. })
        ));
        assert!(session.disconnect().is_empty());
        assert!(session.closed(1000, "", 1.0, 0).is_empty());
        assert!(session.timer(1.0, 0).is_empty());
    }
}

#[test]
fn connecting_anew_closes_the_old_socket_first() {
    let mut session = ready();
    let actions = session.connect(hello());
    assert!(matches!(actions.first(), Some(Action::Close { .. })));
    assert!(opens(&actions));
    assert_eq!(session.codec_id(CODEC), None);
}

#[test]
fn states_are_what_the_types_promise() {
    let waiting = SessionState::Waiting {
        retry_in_ms: 250.0,
        code: 1006,
        reason: "x".to_owned(),
        lost_frames: 2,
    };
    assert_eq!(
        serde_json::to_value(waiting).unwrap(),
        serde_json::json!({
            "state": "waiting", "retryInMs": 250.0, "code": 1006, "reason": "x", "lostFrames": 2
        })
    );
}
