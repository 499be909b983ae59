//! What this binary does as another process of one of its tests.

use crate::support::role;
use crate::trouble;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "is run by other tests, in a process of its own"]
async fn plays_a_role_for_another_test() {
    let role = role().unwrap_or_default();
    let words: Vec<&str> = role.iter().map(String::as_str).collect();
    match words[..] {
        ["refused", path, kind] => trouble::child_is_refused(path, kind).await,
        ["descriptors", path] => trouble::child_counts_descriptors(path).await,
        _ => panic!("not to be run by hand: {words:?}"),
    }
}
