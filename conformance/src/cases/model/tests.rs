use std::sync::Arc;

use backend_memory::MemoryProvider;
use bytes::Bytes;
use storage_core::{
    Get, Key, List, Object, Page, ProviderInfo, PutIf, Result, StorageProvider, Version,
    async_trait,
};

use crate::{Outcome, Settings, harness, run};

/// Forgets to delete what has an even number of bytes, and more than ten.
#[derive(Debug, Clone)]
struct Forgetful(MemoryProvider);

#[async_trait]
impl StorageProvider for Forgetful {
    fn info(&self) -> ProviderInfo {
        self.0.info()
    }
    async fn put(&self, key: &Key, body: Bytes, when: PutIf) -> Result<Version> {
        self.0.put(key, body, when).await
    }
    async fn get(&self, key: &Key, request: Get) -> Result<Object> {
        self.0.get(key, request).await
    }
    async fn list(&self, request: List<'_>) -> Result<Page> {
        self.0.list(request).await
    }
    async fn delete(&self, key: &Key) -> Result<()> {
        let size = self.0.get(key, Get::meta_only()).await.map(|object| object.size);
        match size {
            Ok(size) if size > 10 && size % 2 == 0 => Ok(()),
            _ => self.0.delete(key).await,
        }
    }
}

#[tokio::test]
async fn a_failure_is_shrunk_to_the_steps_it_takes() {
    let shared = Forgetful(MemoryProvider::new());
    let harness = harness(move || {
        let handle = shared.clone();
        async move { Ok(handle) }
    });
    let filter = Some("model.state-machine".into());
    let settings = Settings { seed: 1, filter, ..Settings::default() };
    let report = run(Arc::new(harness), &settings, &mut ()).await;
    let case = &report.cases[0];
    assert_eq!(case.outcome, Outcome::Fail);
    let start = case.detail.find("let v").unwrap();
    expect_test::expect![[r#"
        let v0 = provider.put(&key("a/a"), vec![b'0'; 0].into(), PutIf::Always).await?;
                let v1 = provider.put(&key("a/a"), vec![b'0'; 12].into(), PutIf::Matches(v0.clone())).await?;
                provider.delete(&key("a/a")).await?;
                let prefix = Prefix::new("")?;
                let (mut keys, mut after) = (Vec::new(), None);
                loop {
                    let request = List { prefix: &prefix, start_after: after.as_ref(), limit: 1000 };
                    let page = provider.list(request).await?;
                    keys.extend(page.objects.iter().map(|object| object.key.to_string()));
                    after = page.objects.last().map(|object| object.key.clone());
                    if !page.more {
                        break;
                    }
                }
                assert!(keys.is_empty(), "{keys:?}");
                // at the end: expected to list [], saw [("a/a", 12)]
                Ok(())
            }
    "#]].assert_eq(&case.detail[start..]);
}

#[test]
fn bodies_are_the_same_when_their_content_is() {
    use super::step::Body;
    let body = |byte, length| Body { byte, length };
    // Taken for two contents, these once failed every provider whose versions stand for contents.
    assert_eq!((body(b'0', 0) == body(b'1', 0), body(b'0', 1) == body(b'1', 1)), (true, false));
    assert_eq!((body(b'0', 1) == body(b'0', 1), body(b'0', 1) == body(b'0', 2)), (true, false));
}
