//! A server in memory, and requests to it as a client writes them.

use std::sync::Arc;

use backend_memory::MemoryProvider;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use gateway_tahoe::{Gateway, Options, Shares, StillClock, Uploads};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use storage_core::StorageProvider;
use storage_txn::Store;
use storage_wrappers::{Counted, TokioEnv};

pub(crate) const SI: &str = "cciqinrhvlkhxe4mujew3issii";
pub(crate) const SWISSNUM: &str = "swissnum";
/// When the clock of a server under test stands still.
pub(crate) const BEGAN: u64 = 1_000_000;

/// A server with its folder, on a provider that counts.
pub(crate) struct Bench {
    pub(crate) gateway: Gateway,
    pub(crate) clock: StillClock,
    pub(crate) provider: Arc<Counted<MemoryProvider>>,
    folder: Arc<tempfile::TempDir>,
    options: Options,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) kind: Option<String>,
    pub(crate) range: Option<String>,
    pub(crate) body: Bytes,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Options)) -> Self {
        let mut options = Options::default();
        change(&mut options);
        let provider = Arc::new(Counted::new(MemoryProvider::new()));
        let env = Arc::new(TokioEnv::new());
        Store::init(provider.clone(), env, storage_txn::Options::default()).await.unwrap();
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let clock = StillClock::new(BEGAN);
        Self::start(provider, clock, folder, options).await
    }

    pub(crate) async fn start(
        provider: Arc<Counted<MemoryProvider>>,
        clock: StillClock,
        folder: Arc<tempfile::TempDir>,
        options: Options,
    ) -> Self {
        let env = Arc::new(TokioEnv::new());
        let place: Arc<dyn StorageProvider> = provider.clone();
        let mut of_store = storage_txn::Options::default();
        of_store.chunk_bytes = 4 << 20;
        let store = Store::open(place, env.clone(), of_store).await.unwrap();
        let shares =
            Shares::open(store, env, Arc::new(clock.clone()), options.clone()).await.unwrap();
        let uploads = Uploads::open(shares, folder.path()).unwrap();
        let gateway = Gateway::new(uploads, SWISSNUM);
        Self { gateway, clock, provider, folder, options }
    }

    /// The same server, started again after it ended without a word.
    pub(crate) async fn again(self) -> Self {
        let Self { provider, clock, folder, options, gateway } = self;
        drop(gateway);
        Self::start(provider, clock, folder, options).await
    }

    /// Where its uploads are.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Another server of the same shares.
    pub(crate) async fn second(&self) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let (provider, clock) = (self.provider.clone(), self.clock.clone());
        Self::start(provider, clock, folder, self.options.clone()).await
    }

    pub(crate) fn shares(&self) -> &Shares {
        self.gateway.uploads().shares()
    }

    /// A request with these headers besides the right swissnum. `SI` in the path is a storage index.
    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let authorization = format!("Tahoe-LAFS {}", STANDARD.encode(SWISSNUM));
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/storage/v1/{}", path.replace("SI", SI)))
            .header("authorization", authorization);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Full::new(body.into())).unwrap()).await
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        let answer = self.gateway.call(request).await;
        Answer::of(answer).await
    }

    /// Allocates shares, and says what the server says.
    pub(crate) async fn allocate(&self, numbers: &[u8], size: u16, secret: &str) -> Answer {
        let headers = [RENEW, CANCEL, ("x-tahoe-authorization", secret)];
        self.ask("POST", "immutable/SI", &headers, allocate(numbers, size)).await
    }

    pub(crate) async fn write(&self, number: u8, range: &str, secret: &str, body: &[u8]) -> Answer {
        let headers = [("content-range", range), ("x-tahoe-authorization", secret)];
        let body = Bytes::copy_from_slice(body);
        self.ask("PATCH", &format!("immutable/SI/{number}"), &headers, body).await
    }

    /// Stores an immutable share.
    pub(crate) async fn share(&self, number: u8, bytes: &[u8]) {
        let size = u16::try_from(bytes.len()).unwrap();
        assert_eq!(self.allocate(&[number], size, UPLOAD).await.status, 200);
        let range = format!("bytes 0-{}/*", bytes.len() - 1);
        assert_eq!(self.write(number, &range, UPLOAD, bytes).await.status, 201);
    }

    pub(crate) async fn rtw(&self, body: &str) -> Answer {
        self.rtw_as(ENABLER, unhex(body)).await
    }

    pub(crate) async fn rtw_as(&self, enabler: (&str, &str), body: Bytes) -> Answer {
        self.ask("POST", "mutable/SI/read-test-write", &[RENEW, CANCEL, enabler], body).await
    }
}

impl Answer {
    async fn of(answer: Response<gateway_tahoe::AnswerBody>) -> Self {
        let (parts, body) = answer.into_parts();
        let header =
            |name: &str| parts.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        let body = body.collect().await.unwrap().to_bytes();
        let (kind, range) = (header("content-type"), header("content-range"));
        Self { status: parts.status.as_u16(), kind, range, body }
    }

    pub(crate) fn hex(&self) -> String {
        data_encoding::HEXLOWER.encode(&self.body)
    }

    /// Status and body, in hexadecimal digits.
    pub(crate) fn said(&self) -> (u16, String) {
        (self.status, self.hex())
    }
}

pub(crate) const RENEW: (&str, &str) =
    ("x-tahoe-authorization", "lease-renew-secret BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=");
pub(crate) const CANCEL: (&str, &str) =
    ("x-tahoe-authorization", "lease-cancel-secret CAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg=");
pub(crate) const ENABLER: (&str, &str) =
    ("x-tahoe-authorization", "write-enabler CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=");
pub(crate) const OTHER_ENABLER: (&str, &str) =
    ("x-tahoe-authorization", "write-enabler BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=");
pub(crate) const UPLOAD: &str = "upload-secret wEqD3lx6EtM22q6/lZGygN82Acw=";
pub(crate) const OTHER_UPLOAD: &str = "upload-secret AAAA";

/// A request to allocate shares, whose numbers are below 24.
pub(crate) fn allocate(numbers: &[u8], size: u16) -> Bytes {
    let mut body = unhex("a26d73686172652d6e756d62657273d90102").to_vec();
    body.push(0x80 + u8::try_from(numbers.len()).unwrap());
    body.extend_from_slice(numbers);
    body.extend(unhex("6e616c6c6f63617465642d73697a6519"));
    body.extend_from_slice(&size.to_be_bytes());
    body.into()
}

pub(crate) fn unhex(hex: &str) -> Bytes {
    let plain: String = hex.split_whitespace().collect();
    data_encoding::HEXLOWER.decode(plain.as_bytes()).unwrap().into()
}

/// A set of small numbers, in hexadecimal digits.
pub(crate) fn set(numbers: &[u8]) -> String {
    let digits: String = numbers.iter().map(|number| format!("{number:02x}")).collect();
    format!("d90102{:02x}{digits}", 0x80 + numbers.len())
}

/// What an allocation answers, in hexadecimal digits.
pub(crate) fn allocated(already_have: &[u8], allocated: &[u8]) -> String {
    format!(
        "a26c616c72656164792d68617665{}69616c6c6f6361746564{}",
        set(already_have),
        set(allocated)
    )
}

/// Bytes that are not alike anywhere.
pub(crate) fn bytes(len: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..len).map(|_| next()).collect()
}
