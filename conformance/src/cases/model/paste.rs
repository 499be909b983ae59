//! A failing sequence as Rust code, to be pasted into a test.

use storage_core::{ByteRange, ErrorKind, Get};

use super::machine::Broken;
use super::step::{Body, PREFIXES};

/// The whole test. `provider` is for the reader to fill in.
pub(super) fn test(broken: &Broken) -> String {
    let code = broken.code.join("\n");
    let used: Vec<_> = ["ByteRange", "ErrorKind", "Get", "List", "Prefix", "PutIf"]
        .into_iter()
        .filter(|name| code.contains(name))
        .collect();
    let mut test = format!(
        "    // use storage_core::{{Key, StorageProvider, {}}};\n\
         \x20   #[tokio::test]\n\
         \x20   async fn a_sequence_answers_as_a_sorted_map_does() -> Result<(), Box<dyn std::error::Error>> {{\n\
         \x20       let provider = todo!(\"an empty place\");\n\
         \x20       let key = |name| Key::new(name).unwrap();\n",
        used.join(", ")
    );
    for line in code.lines() {
        test.push_str(&format!("        {line}\n"));
    }
    test.push_str(&format!("        // {}\n        Ok(())\n    }}\n", broken.what));
    test
}

pub(super) fn put(
    number: usize,
    key: &str,
    body: Body,
    when: &str,
    expected: &Result<(), ErrorKind>,
) -> String {
    let body = format!("vec![b'{}'; {}].into()", char::from(body.byte), body.length);
    let call = format!("provider.put(&key({key:?}), {body}, {when}).await");
    match expected {
        Ok(()) => format!("let v{number} = {call}?;"),
        Err(kind) => fails(&call, *kind),
    }
}

pub(super) fn get(
    key: &str,
    request: &Get,
    if_match: Option<String>,
    if_changed: Option<String>,
    expected: Result<(usize, usize, String), ErrorKind>,
) -> String {
    let mut get = match request.range {
        None => "Get::whole()".to_owned(),
        Some(ByteRange { start, end: Some(end) }) => format!("Get::range({start}..{end})"),
        Some(ByteRange { start, end: None }) => format!("Get::range({start}..)"),
    };
    if request.meta_only {
        get = format!("Get {{ meta_only: true, ..{get} }}");
    }
    if let Some(version) = if_match {
        get.push_str(&format!(".if_match({version}.clone())"));
    }
    if let Some(version) = if_changed {
        get.push_str(&format!(".if_changed({version}.clone())"));
    }
    let call = format!("provider.get(&key({key:?}), {get}).await");
    match expected {
        Ok((part, size, version)) => format!(
            "let object = {call}?;\nassert_eq!((object.body.len(), object.size), ({part}, {size}));\n\
             assert_eq!(object.version, {version});"
        ),
        Err(kind) => fails(&call, kind),
    }
}

pub(super) fn delete(key: &str) -> String {
    format!("provider.delete(&key({key:?})).await?;")
}

pub(super) fn list(
    prefix: usize,
    start_after: Option<&str>,
    limit: usize,
    expected: &[(&str, u64)],
) -> String {
    let after = match start_after {
        None => "None".to_owned(),
        Some(key) => format!("Some(key({key:?}))"),
    };
    let expected: Vec<_> = expected.iter().map(|(key, _)| key).collect();
    let check = if expected.is_empty() {
        "assert!(keys.is_empty(), \"{keys:?}\");".to_owned()
    } else {
        format!("assert_eq!(keys, {expected:?});")
    };
    format!(
        "let prefix = Prefix::new({:?})?;\n\
         let (mut keys, mut after) = (Vec::new(), {after});\n\
         loop {{\n\
         \x20   let request = List {{ prefix: &prefix, start_after: after.as_ref(), limit: {limit} }};\n\
         \x20   let page = provider.list(request).await?;\n\
         \x20   keys.extend(page.objects.iter().map(|object| object.key.to_string()));\n\
         \x20   after = page.objects.last().map(|object| object.key.clone());\n\
         \x20   if !page.more {{\n\
         \x20       break;\n\
         \x20   }}\n\
         }}\n\
         {check}",
        PREFIXES[prefix]
    )
}

fn fails(call: &str, kind: ErrorKind) -> String {
    format!("assert_eq!({call}.unwrap_err().kind(), ErrorKind::{kind:?});")
}
