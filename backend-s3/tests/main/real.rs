//! Real services, where the environment says where they are.

use std::env;
use std::future::Future;

use backend_s3::{ConditionalPut, Config, Credentials, Http, Probe, S3Provider};
use libtest_mimic::Trial;
use storage_core::{
    Atomicity, Error, ErrorKind, Get, Key, List, Prefix, PutIf, Secret, StorageProvider,
    StorageProviderExt,
};

use crate::trial;

const SEAWEEDFS: &str = "CLOUDBANK_TEST_SEAWEEDFS";
const MOTO: &str = "CLOUDBANK_TEST_MOTO";
const RCLONE: &str = "CLOUDBANK_TEST_RCLONE";

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for server in [SEAWEEDFS, MOTO] {
        trials.push(on(server, "opens_with_a_full_probe_and_leaves_nothing_behind", full_probe));
        trials.push(on(server, "a_prefix_keeps_two_providers_apart", two_prefixes));
        trials.push(on(server, "a_key_beside_keys_beneath_it_is_kept", nested));
        trials.push(on(server, "a_missing_bucket_names_the_setting", missing_bucket));
        trials.push(on(
            server,
            "a_wrong_secret_names_the_settings_and_shows_nothing",
            wrong_secret,
        ));
        trials.push(on(server, "checksums_and_unsigned_bodies_are_accepted", checksums));
    }
    for server in [SEAWEEDFS, MOTO, RCLONE] {
        trials.push(on(server, "create_and_destroy_refuse_what_is_there", create_destroy));
        trials.push(on(server, "ranges_are_cut_as_the_contract_says", ranges));
    }
    trials.push(on(RCLONE, "the_probe_refuses_a_service_that_ignores_conditions", refused));
    trials
}

/// A test on a real service; listed as ignored where there is none.
fn on<F>(variable: &'static str, name: &str, test: fn(Config) -> F) -> Trial
where
    F: Future<Output = ()> + 'static,
{
    let server = variable.rsplit('_').next().unwrap().to_lowercase();
    let name = format!("real::{server}::{name}");
    let endpoint = env::var(variable).ok();
    let missing = endpoint.is_none();
    let trial = trial(name, move || async move {
        let endpoint = endpoint.unwrap_or_else(|| {
            panic!("set {variable} or run cargo xtask test");
        });
        test(config(&endpoint)).await;
    });
    trial.with_ignored_flag(missing)
}

fn config(endpoint: &str) -> Config {
    Config {
        endpoint: Some(endpoint.into()),
        region: Some("us-east-1".into()),
        credentials: keys("cloudbank-secret"),
        http: Http { allow_http: true, ..Http::default() },
        ..Config::new(format!("cb-{:016x}", rand::random::<u64>()))
    }
}

fn keys(secret: &str) -> Credentials {
    Credentials::Keys {
        access_key_id: "cloudbank".into(),
        secret_access_key: Secret::new(secret),
        session_token: None,
    }
}

async fn full_probe(config: Config) {
    S3Provider::create(&config).await.unwrap();
    let provider = S3Provider::open(config.clone()).await.unwrap();
    assert_eq!(provider.info().capabilities.absent, Atomicity::AllClients);
    let page = provider.list(List::new(&Prefix::all())).await.unwrap();
    assert!(page.objects.is_empty(), "{page:?}");
    S3Provider::destroy(&config).await.unwrap();
}

async fn two_prefixes(config: Config) {
    S3Provider::create(&config).await.unwrap();
    let longest = format!("{}/{}/", "p".repeat(200), "q".repeat(53));
    let open = async |prefix: &str| {
        let config =
            Config { prefix: Prefix::new(prefix).unwrap(), probe: Probe::Off, ..config.clone() };
        S3Provider::open(config).await.unwrap()
    };
    let (one, two, all) = (open(&longest).await, open("two/").await, open("").await);
    let key =
        Key::new(format!("{}/{}/{}", "a".repeat(200), "b".repeat(200), "c".repeat(110))).unwrap();
    assert_eq!((key.as_str().len(), longest.len()), (512, 255));
    one.put(&key, "1".into(), PutIf::Absent).await.unwrap();
    two.put(&key, "2".into(), PutIf::Absent).await.unwrap();
    for (provider, body) in [(&one, "1"), (&two, "2")] {
        assert_eq!(provider.get(&key, Get::whole()).await.unwrap().body, body);
        let page = provider.list(List::new(&Prefix::all())).await.unwrap();
        assert_eq!((page.objects.len(), &page.objects[0].key), (1, &key));
        let after = provider.list(List::new(&Prefix::all()).start_after(&key)).await.unwrap();
        assert!(after.objects.is_empty());
    }
    // What is longer than a key is not listed under no prefix.
    assert!(all.list(List::new(&Prefix::all())).await.unwrap().objects.is_empty());
    one.delete(&key).await.unwrap();
    assert_eq!(one.try_get(&key).await.unwrap(), None);
    two.delete(&key).await.unwrap();
    S3Provider::destroy(&config).await.unwrap();
}

async fn nested(config: Config) {
    S3Provider::create(&config).await.unwrap();
    let provider = S3Provider::open(config.clone()).await.unwrap();
    let keys =
        ["a", "a/0", "a/b", "a/b/c", "a0", "a=/b", "b/c/d"].map(|key| Key::new(key).unwrap());
    // Folder first, and object first.
    for key in keys.iter().rev().step_by(2).chain(keys.iter().step_by(2)) {
        let _ = provider.put(key, key.to_string().into(), PutIf::Absent).await;
        assert_eq!(provider.get(key, Get::whole()).await.unwrap().body, key.as_str());
    }
    for key in &keys {
        provider.put(key, key.to_string().into(), PutIf::Always).await.unwrap();
    }
    let listed = async |after: Option<&Key>| {
        let everything = Prefix::all();
        let request = List { prefix: &everything, start_after: after, limit: 100 };
        let page = provider.list(request).await.unwrap();
        page.objects.into_iter().map(|object| object.key).collect::<Vec<_>>()
    };
    assert_eq!(listed(None).await, keys);
    for (at, key) in keys.iter().enumerate() {
        assert_eq!(listed(Some(key)).await, keys[at + 1..], "{key}");
    }
    provider.delete_many(keys).await.unwrap();
    S3Provider::destroy(&config).await.unwrap();
}

async fn missing_bucket(config: Config) {
    let error = S3Provider::open(config.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misconfigured, "{error}");
    assert!(error.to_string().contains("`bucket`"), "{error}");
    let provider = S3Provider::open(Config { probe: Probe::Off, ..config.clone() }).await.unwrap();
    let key = Key::new("k").unwrap();
    let mut errors = vec![
        provider.get(&key, Get::whole()).await.unwrap_err(),
        provider.get(&key, Get::meta_only()).await.unwrap_err(),
        provider.list(List::new(&Prefix::all())).await.unwrap_err(),
        provider.delete(&key).await.unwrap_err(),
        S3Provider::destroy(&config).await.unwrap_err(),
    ];
    // SeaweedFS makes the bucket on the first put, which is why opening looks first.
    if config.endpoint != env::var(SEAWEEDFS).ok() {
        errors.push(provider.put(&key, "x".into(), PutIf::Always).await.unwrap_err());
        errors.push(provider.put(&key, "x".into(), PutIf::Absent).await.unwrap_err());
    }
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::Misconfigured, "{error}");
        assert!(error.to_string().contains("`bucket`"), "{error}");
    }
}

async fn wrong_secret(config: Config) {
    // moto takes any credentials.
    if config.endpoint == env::var(MOTO).ok() {
        return;
    }
    S3Provider::create(&config).await.unwrap();
    let wrong = Config { credentials: keys("canary-of-the-secret"), ..config.clone() };
    let error = S3Provider::open(wrong).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    assert!(error.to_string().contains("`secret_access_key`"), "{error}");
    assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    S3Provider::destroy(&config).await.unwrap();
}

async fn checksums(config: Config) {
    use backend_s3::Checksum::{Crc64Nvme, Sha256};
    S3Provider::create(&config).await.unwrap();
    for (checksum, sign_payload) in [(Some(Sha256), true), (Some(Crc64Nvme), true), (None, false)] {
        let config = Config { checksum, sign_payload, probe: Probe::Off, ..config.clone() };
        let provider = S3Provider::open(config).await.unwrap();
        let key = Key::new("k").unwrap();
        let version = provider.put(&key, "body".into(), PutIf::Absent).await.unwrap();
        let found = provider.get(&key, Get::whole()).await.unwrap();
        assert_eq!((&found.body[..], found.version), (&b"body"[..], version));
        provider.delete(&key).await.unwrap();
    }
    S3Provider::destroy(&config).await.unwrap();
}

async fn create_destroy(config: Config) {
    S3Provider::create(&config).await.unwrap();
    let again = S3Provider::create(&config).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Conflict, "{again}");
    let provider = S3Provider::open(Config { probe: Probe::Off, ..config.clone() }).await.unwrap();
    let key = Key::new("a/b").unwrap();
    provider.put(&key, "x".into(), PutIf::Always).await.unwrap();
    let full = S3Provider::destroy(&config).await.unwrap_err();
    assert_eq!(full.kind(), ErrorKind::Conflict, "{full}");
    assert!(full.to_string().contains("not empty"), "{full}");
    provider.delete(&key).await.unwrap();
    provider.delete(&key).await.unwrap();
    S3Provider::destroy(&config).await.unwrap();
}

async fn ranges(config: Config) {
    S3Provider::create(&config).await.unwrap();
    let config = Config { probe: Probe::Off, ..config };
    let provider = S3Provider::open(config.clone()).await.unwrap();
    let (full, empty) = (Key::new("full").unwrap(), Key::new("empty").unwrap());
    provider.put(&full, "0123456789".into(), PutIf::Always).await.unwrap();
    provider.put(&empty, "".into(), PutIf::Always).await.unwrap();
    let none = Err(ErrorKind::InvalidRange);
    for (key, request, expected) in [
        (&full, Get::range(2..5), Ok("234")),
        (&full, Get::range(0..10), Ok("0123456789")),
        (&full, Get::range(7..), Ok("789")),
        (&full, Get::range(7..11), Ok("789")),
        (&full, Get::range(7..u64::MAX), Ok("789")),
        (&full, Get::range(7..u64::from(u32::MAX)), Ok("789")),
        (&full, Get::range(10..), none),
        (&full, Get::range(10..20), none),
        (&full, Get::range(11..20), none),
        (&full, Get::range(3..3), none),
        (
            &full,
            Get { range: Some(storage_core::ByteRange { start: 5, end: Some(2) }), ..Get::whole() },
            none,
        ),
        (&full, Get::range(u64::MAX..), none),
        (&full, Get::range(u64::MAX - 1..u64::MAX), none),
        (&empty, Get::whole(), Ok("")),
        (&empty, Get::range(0..), none),
        (&empty, Get::range(0..1), none),
        (&Key::new("missing").unwrap(), Get::range(3..3), Err(ErrorKind::NotFound)),
    ] {
        let result = provider.get(key, request.clone()).await;
        let found = result.as_ref().map(|o| std::str::from_utf8(&o.body).unwrap());
        assert_eq!(found.map_err(Error::kind), expected, "{key} {request:?} {result:?}");
    }
    provider.delete(&full).await.unwrap();
    provider.delete(&empty).await.unwrap();
    S3Provider::destroy(&config).await.unwrap();
}

async fn refused(config: Config) {
    S3Provider::create(&config).await.unwrap();
    let error = S3Provider::open(config.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misconfigured, "{error}");
    for part in ["`Absent`", "`conditional_put = \"unsupported\"`"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    let config = Config { conditional_put: ConditionalPut::Unsupported, ..config };
    let provider = S3Provider::open(config.clone()).await.unwrap();
    let promised = provider.info().capabilities;
    assert_eq!(
        (promised.absent, promised.matches),
        (Atomicity::Unsupported, Atomicity::Unsupported)
    );
    let key = Key::new("k").unwrap();
    let error = provider.put(&key, "x".into(), PutIf::Absent).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(provider.try_get(&key).await.unwrap(), None);
    S3Provider::destroy(&config).await.unwrap();
}
