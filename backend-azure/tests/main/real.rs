//! The emulator, where the environment says where it is.

use std::env;
use std::future::Future;

use backend_azure::{AzureProvider, Config, Credentials, Probe};
use libtest_mimic::Trial;
use storage_core::{
    Atomicity, Error, ErrorKind, Get, Key, List, Prefix, PutIf, Secret, StorageProvider,
    StorageProviderExt,
};

use crate::trial;

const AZURITE: &str = "CLOUDBANK_TEST_AZURITE";

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        on("opens_with_a_full_probe_and_leaves_nothing_behind", full_probe),
        on("a_prefix_keeps_two_providers_apart", two_prefixes),
        on("a_missing_container_names_the_setting", missing_container),
        on("a_wrong_key_names_the_setting_and_shows_nothing", wrong_secret),
        on("create_and_destroy_refuse_what_is_there", create_destroy),
        on("ranges_are_cut_as_the_contract_says", ranges),
        on("a_walk_in_small_pages_sees_every_key_once", small_pages),
    ]
}

/// A test on the emulator; listed as ignored where there is none.
fn on<F>(name: &str, test: fn(Config) -> F) -> Trial
where
    F: Future<Output = ()> + 'static,
{
    let endpoint = env::var(AZURITE).ok();
    let missing = endpoint.is_none();
    let trial = trial(format!("real::azurite::{name}"), move || async move {
        assert!(endpoint.is_some(), "set {AZURITE} or run cargo xtask test");
        let container = format!("cb-{:016x}", rand::random::<u64>());
        test(Config { endpoint, ..Config::emulator(container) }).await;
    });
    trial.with_ignored_flag(missing)
}

async fn full_probe(config: Config) {
    AzureProvider::create(&config).await.unwrap();
    let provider = AzureProvider::open(config.clone()).await.unwrap();
    assert_eq!(provider.info().capabilities.absent, Atomicity::AllClients);
    let page = provider.list(List::new(&Prefix::all())).await.unwrap();
    assert!(page.objects.is_empty(), "{page:?}");
    AzureProvider::destroy(&config).await.unwrap();
}

async fn two_prefixes(config: Config) {
    AzureProvider::create(&config).await.unwrap();
    let longest = format!("{}/{}/", "p".repeat(200), "q".repeat(53));
    let open = async |prefix: &str| {
        let config =
            Config { prefix: Prefix::new(prefix).unwrap(), probe: Probe::Off, ..config.clone() };
        AzureProvider::open(config).await.unwrap()
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
    AzureProvider::destroy(&config).await.unwrap();
}

async fn missing_container(config: Config) {
    let error = AzureProvider::open(config.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misconfigured, "{error}");
    assert!(error.to_string().contains("`container`"), "{error}");
    let provider =
        AzureProvider::open(Config { probe: Probe::Off, ..config.clone() }).await.unwrap();
    let key = Key::new("k").unwrap();
    let mut errors = vec![
        provider.get(&key, Get::whole()).await.unwrap_err(),
        provider.get(&key, Get::meta_only()).await.unwrap_err(),
        provider.list(List::new(&Prefix::all())).await.unwrap_err(),
        provider.delete(&key).await.unwrap_err(),
        AzureProvider::destroy(&config).await.unwrap_err(),
    ];
    errors.push(provider.put(&key, "x".into(), PutIf::Always).await.unwrap_err());
    errors.push(provider.put(&key, "x".into(), PutIf::Absent).await.unwrap_err());
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::Misconfigured, "{error}");
        assert!(error.to_string().contains("`container`"), "{error}");
    }
}

async fn wrong_secret(config: Config) {
    AzureProvider::create(&config).await.unwrap();
    let wrong = Config {
        credentials: Credentials::AccountKey(Secret::new("Y2FuYXJ5LW9mLXRoZS1rZXk=")),
        ..config.clone()
    };
    let error = AzureProvider::open(wrong).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    assert!(error.to_string().contains("`account_key`"), "{error}");
    assert!(!format!("{error:?}").contains("Y2FuYXJ5"), "{error:?}");
    AzureProvider::destroy(&config).await.unwrap();
}

async fn create_destroy(config: Config) {
    AzureProvider::create(&config).await.unwrap();
    let again = AzureProvider::create(&config).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Conflict, "{again}");
    let provider =
        AzureProvider::open(Config { probe: Probe::Off, ..config.clone() }).await.unwrap();
    let key = Key::new("a/b").unwrap();
    provider.put(&key, "x".into(), PutIf::Always).await.unwrap();
    let full = AzureProvider::destroy(&config).await.unwrap_err();
    assert_eq!(full.kind(), ErrorKind::Conflict, "{full}");
    assert!(full.to_string().contains("not empty"), "{full}");
    provider.delete(&key).await.unwrap();
    provider.delete(&key).await.unwrap();
    AzureProvider::destroy(&config).await.unwrap();
}

async fn ranges(config: Config) {
    AzureProvider::create(&config).await.unwrap();
    let config = Config { probe: Probe::Off, ..config };
    let provider = AzureProvider::open(config.clone()).await.unwrap();
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
    AzureProvider::destroy(&config).await.unwrap();
}

async fn small_pages(config: Config) {
    AzureProvider::create(&config).await.unwrap();
    let provider =
        AzureProvider::open(Config { probe: Probe::Off, ..config.clone() }).await.unwrap();
    let keys: Vec<Key> = (0..25).map(|n| Key::new(format!("k/{n:02}")).unwrap()).collect();
    for key in &keys {
        provider.put(key, "x".into(), PutIf::Absent).await.unwrap();
    }
    let prefix = Prefix::new("k/").unwrap();
    for limit in [1, 7, 24, 25, 26] {
        let mut seen: Vec<Key> = Vec::new();
        loop {
            let request = List { prefix: &prefix, start_after: seen.last(), limit };
            let page = provider.list(request).await.unwrap();
            assert!(page.objects.len() <= limit, "{limit}");
            assert!(!page.more || !page.objects.is_empty(), "{limit}");
            let more = page.more;
            seen.extend(page.objects.into_iter().map(|object| object.key));
            if !more {
                break;
            }
        }
        assert_eq!(seen, keys, "{limit}");
    }
    provider.delete_many(keys).await.unwrap();
    AzureProvider::destroy(&config).await.unwrap();
}
