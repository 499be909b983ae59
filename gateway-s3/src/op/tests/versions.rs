//! Versions: random changes beside a model of what S3 promises.

use super::{Bench, bytes, code};
use crate::error::Code;
use crate::op::Moment;
use crate::op::get::Span;
use crate::op::list::List;
use crate::op::list_versions::VersionEntry;
use crate::op::object::Which;
use crate::record::Versioning;

/// What there is of a key: newest first, each with its id, and its body if it is no delete marker.
#[derive(Debug, Default)]
struct Model {
    versions: Vec<(String, Option<Vec<u8>>)>,
}

impl Model {
    fn put(&mut self, versioning: Versioning, id: String, body: Option<Vec<u8>>) {
        match versioning {
            Versioning::Never => self.versions.clear(),
            Versioning::Suspended => self.versions.retain(|(id, _)| id != "null"),
            Versioning::Enabled => {}
        }
        if body.is_some() || versioning != Versioning::Never {
            self.versions.insert(0, (id, body));
        }
    }
}

async fn check(bench: &Bench, keys: &[&str], models: &[Model], step: &str) {
    let list = List { max: 1000, ..List::default() };
    let place = ("bbb", Moment::Now);
    let listed = bench.core.list_versions(&bench.alice, place, &list, None).await.unwrap();
    let mut expected = Vec::new();
    let mut data = 0;
    for (key, model) in keys.iter().zip(models) {
        for (at, (id, body)) in model.versions.iter().enumerate() {
            expected.push((key.to_string(), id.clone(), body.is_none(), at == 0));
            data += usize::from(body.as_ref().is_some_and(|body| body.len() > 1024));
            let which = Which::parse(Some(id)).unwrap();
            let got = bench.get_of(key, which, Span::All).await;
            match body {
                Some(body) => assert_eq!(got.unwrap(), body[..], "{step}"),
                None => assert_eq!(code(got), Some(Code::MethodNotAllowed), "{step}"),
            }
        }
        let newest = model.versions.first().and_then(|(_, body)| body.clone());
        match newest {
            Some(body) => assert_eq!(bench.get(key).await.unwrap(), body[..], "{step}"),
            None => assert_eq!(code(bench.get(key).await), Some(Code::NoSuchKey), "{step}"),
        }
    }
    let listed: Vec<_> = listed.entries.iter().map(entry).collect();
    assert_eq!(listed, expected, "{step}");
    assert_eq!(bench.data().await, data, "{step}: bytes are left over, or lost");
    for max in [1, 3] {
        assert_eq!(paged(bench, max).await, expected, "{step}, {max} a page");
    }
}

fn entry(entry: &VersionEntry) -> (String, String, bool, bool) {
    let VersionEntry::Version { key, object, latest } = entry else { panic!("{entry:?}") };
    (key.clone(), object.version_id(), object.delete_marker, *latest)
}

async fn paged(bench: &Bench, max: usize) -> Vec<(String, String, bool, bool)> {
    let mut all = Vec::new();
    let (mut list, mut after) = (List { max, ..List::default() }, None);
    loop {
        let place = ("bbb", Moment::Now);
        let page = bench.core.list_versions(&bench.alice, place, &list, after).await.unwrap();
        all.extend(page.entries.iter().map(entry));
        let Some((key, id, ..)) = all.last().filter(|_| page.truncated).cloned() else {
            return all;
        };
        list.after = key;
        after = Some(Which::parse(Some(&id)).unwrap());
    }
}

#[tokio::test]
async fn versions_are_those_that_s3_promises_whatever_is_done() {
    let seed = std::env::var("CLOUDBANK_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| getrandom::u64().unwrap());
    println!("CLOUDBANK_SEED={seed}");
    let mut state = seed | 1;
    let mut below = move |most: u64| {
        // xorshift64*: enough to choose what is done.
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % most
    };
    let bench = Bench::new().await;
    let keys = ["a", "a\0", "a/b", "b"];
    let mut models: Vec<Model> = keys.iter().map(|_| Model::default()).collect();
    let mut versioning = Versioning::Never;
    for step in 0..120 {
        let at = below(keys.len() as u64) as usize;
        let (key, model) = (keys[at], &mut models[at]);
        let what = match below(10) {
            0 if step > 20 => {
                versioning =
                    if below(2) == 0 { Versioning::Enabled } else { Versioning::Suspended };
                bench.version(versioning).await;
                format!("{versioning:?}")
            }
            0..=4 => {
                let body = bytes([3, 1500, 6000][below(3) as usize] + step);
                let put = bench.put(key, body.clone()).await;
                model.put(versioning, put.version_id(), Some(body.to_vec()));
                format!("put {key:?}")
            }
            5..=6 => {
                let delete =
                    crate::op::delete::Delete { key: key.to_owned(), ..Default::default() };
                let deleted = bench.core.delete_object(&bench.alice, "bbb", &delete).await.unwrap();
                let id = match deleted {
                    crate::op::delete::Deleted::Marked(marker) => marker.version_id(),
                    _ => String::new(),
                };
                model.put(versioning, id, None);
                format!("delete {key:?}")
            }
            _ if model.versions.is_empty() => continue,
            _ => {
                let at = below(model.versions.len() as u64) as usize;
                let (id, _) = model.versions.remove(at);
                bench.delete(key, Which::parse(Some(&id)).unwrap()).await;
                format!("remove {key:?} {id}")
            }
        };
        check(&bench, &keys, &models, &format!("seed {seed}, step {step}: {what}")).await;
    }
}
