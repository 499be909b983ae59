//! Requests of those who mean harm: refused, or just objects, and never more than that.

mod draft;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::running::Running;
use crate::support::Bench;
use draft::{Draft, Way};

/// How long a test waits for a server that should have answered or hung up.
const PATIENCE: Duration = Duration::from_secs(60);
const FOLDER: &str = "[providers.local]\ntype = \"fs\"\npath = \"data\"\ncreate = true\ndurability = \"process-crash\"\n";

/// The status of the answer, 0 if the connection ended without one; and all that came.
fn send(host: &str, request: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(host).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    // It may be refused before it has been read.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or(0), answer)
}

/// A server with a bucket `bkt` and an object `bkt/good` in it.
fn server(bench: &Bench, arguments: &str) -> (Running, Draft) {
    let server = Running::start(bench, arguments);
    let client = server.client();
    assert_eq!(client.put("/bkt", b"").unwrap().status, 200);
    assert_eq!(client.put("/bkt/good", b"good").unwrap().status, 200);
    let draft = Draft::new(&client);
    (server, draft)
}

/// The keys of the bucket, as a listing writes them.
fn keys(server: &Running) -> Vec<String> {
    let listed = server.client().get("/bkt?encoding-type=url&list-type=2").unwrap();
    let listed = String::from_utf8(listed.body).unwrap();
    let keys = listed.split("<Key>").skip(1).map(|rest| rest.split('<').next().unwrap().to_owned());
    keys.collect()
}

#[test]
fn a_signature_is_right_in_every_part_or_nothing_is_done() {
    let bench = Bench::with_config(FOLDER);
    let (server, good) = server(&bench, "");
    let put =
        || Draft { method: "PUT".into(), body: b"evil".to_vec(), ..good.clone() }.to("/bkt/new");
    let wrong = &[400, 403][..];
    let mut cases: Vec<(&str, Draft, &[u16])> = vec![("a good one", good.clone(), &[200])];
    let mut add = |name, draft: Draft, expected| cases.push((name, draft, expected));
    add("a secret that is wrong", Draft { secret: "wrong".into(), ..good.clone() }, wrong);
    add("a key that nobody has", Draft { access: "nobody".into(), ..good.clone() }, wrong);
    add("a key that is empty", Draft { access: String::new(), ..good.clone() }, wrong);
    // Whatever region a client believes itself in: it is part of what is signed, and there is but one here.
    add("another region", Draft { region: "mars-1".into(), ..good.clone() }, &[200]);
    add("another service", Draft { service: "iam".into(), ..good.clone() }, &[501]);
    add("a method that was not signed", put().sent_as("DELETE", "/bkt/good"), wrong);
    add("an address that was not signed", good.clone().sent_as("GET", "/bkt"), wrong);
    add("a query that was not signed", good.clone().sent_as("GET", "/bkt/good?acl"), wrong);
    add(
        "a host that was not signed",
        Draft { sent_host: Some("other:1".into()), ..good.clone() },
        wrong,
    );
    add("a body that was not signed", Draft { sent_body: Some(b"else".to_vec()), ..put() }, wrong);
    add("a hash that is none", Draft { hash: Some("0".repeat(64)), ..put() }, wrong);
    add(
        "a signature cut short",
        Draft { spoil: Some(|text| text.pop().is_some()), ..good.clone() },
        wrong,
    );
    let upper = |text: &mut String| {
        *text = text.to_uppercase();
        true
    };
    add("a signature in upper case", Draft { spoil: Some(upper), ..good.clone() }, wrong);
    let empty = |text: &mut String| {
        text.clear();
        true
    };
    add("a signature that is empty", Draft { spoil: Some(empty), ..good.clone() }, wrong);
    for (name, minutes, expected) in [
        ("a clock 16 minutes behind", -16, wrong),
        ("a clock 14 minutes behind", -14, &[200][..]),
        ("a clock 14 minutes ahead", 14, &[200]),
        ("a clock 16 minutes ahead", 16, wrong),
        ("a clock a day ahead", 24 * 60, wrong),
    ] {
        add(name, good.clone().minutes(minutes), expected);
    }
    for (name, seconds, minutes, expected) in [
        ("a presigned address", 60, 0, &[200][..]),
        ("a presigned address that is over", 60, -2, wrong),
        ("a presigned address from the future", 60, 16, wrong),
        ("a presigned address for ever", 604_801, 0, wrong),
        ("a presigned address for no time", 0, 0, wrong),
        ("a presigned address for less than no time", -60, 0, wrong),
    ] {
        add(name, Draft { way: Way::Query(seconds), ..good.clone() }.minutes(minutes), expected);
    }
    let presigned = || Draft { way: Way::Query(60), ..good.clone() };
    add("presigned for another method", presigned().sent_as("PUT", "/bkt/good"), wrong);
    add("presigned for another object", presigned().sent_as("GET", "/bkt/other"), wrong);
    add(
        "presigned for another host",
        Draft { sent_host: Some("other".into()), ..presigned() },
        wrong,
    );
    add(
        "presigned and its signature cut",
        Draft { spoil: Some(|text| text.pop().is_some()), ..presigned() },
        wrong,
    );
    add(
        "presigned, and signed besides",
        Draft { more: vec![("Authorization".into(), "AWS4-HMAC-SHA256 x".into())], ..presigned() },
        wrong,
    );
    for (name, draft, expected) in &cases {
        let (status, answer) = send(&server.host(), &draft.request());
        assert!(expected.contains(&status), "{name}: {answer}");
        assert!(!answer.contains(&good.secret), "{name}: {answer}");
    }
    assert_eq!(keys(&server), ["good"]);
    let logs = server.stop().logs;
    assert!(!logs.contains(&good.secret), "{logs}");
}

#[test]
fn chunks_are_signed_each_and_come_to_what_was_said() {
    let bench = Bench::with_config(FOLDER);
    let (server, good) = server(&bench, "");
    let draft = |key: &str, decoded: usize| {
        Draft {
            method: "PUT".into(),
            hash: Some("STREAMING-AWS4-HMAC-SHA256-PAYLOAD".into()),
            more: vec![
                ("x-amz-decoded-content-length".into(), decoded.to_string()),
                ("content-encoding".into(), "aws-chunked".into()),
            ],
            ..good.clone()
        }
        .to(key)
    };
    let body = |draft: &Draft, chunks: &[&[u8]]| draft.chunks(chunks);
    let (first, second) = (vec![b'a'; 8192], b"the end".to_vec());
    let all: [&[u8]; 3] = [&first, &second, b""];
    let decoded = first.len() + second.len();
    let check =
        |name: &str, decoded: usize, change: &dyn Fn(Vec<u8>) -> Vec<u8>, expected: &[u16]| {
            let draft = draft("/bkt/chunked", decoded);
            let body = change(body(&draft, &all));
            let draft = Draft { sent_body: Some(body), ..draft };
            let (status, answer) = send(&server.host(), &draft.request());
            assert!(expected.contains(&status), "{name}: {answer}");
            let there = keys(&server).contains(&"chunked".to_owned());
            assert_eq!(there, status == 200, "{name}: {answer}");
            if there {
                assert_eq!(server.client().get("/bkt/chunked").unwrap().body.len(), decoded);
                let gone = Draft { method: "DELETE".into(), ..good.clone() }.to("/bkt/chunked");
                assert_eq!(send(&server.host(), &gone.request()).0, 204);
            }
        };
    let replaced = |body: Vec<u8>, from: &[u8], to: &[u8]| {
        let at = body.windows(from.len()).position(|part| part == from).unwrap();
        [&body[..at], to, &body[at + from.len()..]].concat()
    };
    let refused = &[400, 403, 0][..];
    check("as it should be", decoded, &|body| body, &[200]);
    check(
        "a byte of a chunk is another",
        decoded,
        &|body| replaced(body, b"the end", b"the and"),
        refused,
    );
    check(
        "a signature of a chunk is another",
        decoded,
        &|body| replaced(body, b"chunk-signature=", b"chunk-signature=0"),
        refused,
    );
    check(
        "a signature of a chunk is missing",
        decoded,
        &|body| replaced(body, b";chunk-signature=", b";other-thing="),
        refused,
    );
    check("less than was said", decoded + 1, &|body| body, refused);
    check("more than was said", decoded - 1, &|body| body, refused);
    // All that was said is there, and signed: only that nothing follows was not.
    check(
        "without its last chunk",
        decoded,
        &|body| {
            let at = body.windows(4).rposition(|part| part == b"\r\n0;").unwrap();
            body[..at + 2].to_vec()
        },
        &[200, 400, 403],
    );
    check("cut off in a chunk", decoded, &|body| body[..4000].to_vec(), refused);
    check(
        "a chunk as large as there are numbers",
        decoded,
        &|body| replaced(body, b"2000;", b"ffffffffffffffff;"),
        refused,
    );
    check("a chunk with a sign", decoded, &|body| replaced(body, b"2000;", b"-2000;"), refused);
    check(
        "chunks in another order",
        decoded,
        &|body| {
            let at = body.windows(2).position(|part| part == b"7;").unwrap();
            [&body[at..], &body[..at]].concat()
        },
        refused,
    );
}

#[test]
fn odd_names_are_just_names_and_never_paths() {
    let bench = Bench::with_config(FOLDER);
    let (server, good) = server(&bench, "");
    let before = outside(&bench);
    // A key as it is sent, and as a listing has it; nothing if it is refused.
    let cases: [(&str, Option<&str>); 12] = [
        ("../../evil", Some("../../evil")),
        ("%2e%2e/%2e%2e/evil2", Some("../../evil2")),
        ("..%2f..%2fevil3", Some("../../evil3")),
        ("%252e%252e/evil4", Some("%252e%252e/evil4")),
        ("a//b/", Some("a//b/")),
        ("./.", Some("./.")),
        ("/etc/passwd", Some("/etc/passwd")),
        ("back%5Cslash%5C..%5Cevil", Some("back%5Cslash%5C..%5Cevil")),
        ("C:%5Cevil", Some("C%3A%5Cevil")),
        ("%c0%ae%c0%ae/evil", None),
        ("%ff", None),
        ("nul%00byte", None),
    ];
    let mut expected = vec!["good".to_owned()];
    for (sent, listed) in cases {
        let draft = Draft { method: "PUT".into(), body: b"x".to_vec(), ..good.clone() };
        // What is signed is the name as it is written when it is written in one way only.
        let draft = draft.to(&format!("/bkt/{}", listed.unwrap_or(sent)));
        let draft = draft.sent_as("PUT", &format!("/bkt/{sent}"));
        let (status, answer) = send(&server.host(), &draft.request());
        match (listed, status) {
            (Some(listed), 200) => expected.push(listed.to_owned()),
            (Some(_), _) => panic!("{sent}: {answer}"),
            // What no key can be is refused; where it can be one, it is just that.
            (None, 400 | 403) => {}
            (None, 200) if sent.contains("%00") => expected.push("nul%00byte".to_owned()),
            (None, _) => panic!("{sent}: {answer}"),
        }
    }
    let mut found: Vec<_> = keys(&server).iter().map(|key| key.replace("%2F", "/")).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    for bucket in ["..", "%2e%2e", ".%2e", "b%2f..", "b%00", "B..b", "-", "%c0%ae"] {
        let draft = Draft { method: "PUT".into(), ..good.clone() }.to(&format!("/{bucket}"));
        let (status, answer) = send(&server.host(), &draft.request());
        assert!([400, 403, 404, 405, 409].contains(&status), "{bucket}: {answer}");
    }
    assert_eq!(outside(&bench), before);
}

/// All files of the server, but for those of its store: none is ever added.
fn outside(bench: &Bench) -> Vec<String> {
    let root = bench.path(".");
    let mut found: Vec<_> = walkdir::WalkDir::new(&root)
        .into_iter()
        .map(|entry| entry.unwrap().path().strip_prefix(&root).unwrap().display().to_string())
        .filter(|path| !path.starts_with("data/"))
        .collect();
    found.sort();
    found
}

#[test]
fn documents_that_explode_are_refused() {
    let bench = Bench::with_config(FOLDER);
    let (server, good) = server(&bench, "");
    let bomb = "<?xml version=\"1.0\"?><!DOCTYPE d [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\">\
                <!ENTITY c \"&b;&b;&b;&b;&b;&b;&b;&b;\">]><Delete><Object><Key>&c;</Key></Object></Delete>";
    let outside = "<?xml version=\"1.0\"?><!DOCTYPE d [<!ENTITY x SYSTEM \"file:///etc/passwd\">]>\
                   <Delete><Object><Key>&x;</Key></Object></Delete>";
    let deep = format!("<Delete>{}</Delete>", "<a>".repeat(100_000));
    let many = |number: usize| {
        let objects: String =
            (0..number).map(|n| format!("<Object><Key>{n}</Key></Object>")).collect();
        format!("<Delete>{objects}</Delete>")
    };
    let cases: [(&str, String, &[u16]); 8] = [
        ("a thousand keys", many(1000), &[200]),
        ("ten thousand keys", many(10_000), &[400]),
        ("entities of entities", bomb.into(), &[400]),
        ("an entity from elsewhere", outside.into(), &[400]),
        ("depth", deep, &[400]),
        ("no end", "<Delete><Object>".into(), &[400]),
        ("no document", "\0\0\0\0".into(), &[400]),
        ("a document without end", format!("<Delete><!--{}", "x".repeat(32 << 20)), &[400, 413, 0]),
    ];
    for (name, body, expected) in cases {
        let draft = Draft { method: "POST".into(), body: body.into_bytes(), ..good.clone() };
        let (status, answer) = send(&server.host(), &draft.to("/bkt?delete=").request());
        assert!(expected.contains(&status), "{name}: {answer}");
        assert!(!answer.contains("root:"), "{name}: {answer}");
    }
    assert_eq!(keys(&server), ["good"]);
    assert!(server.memory_max() < 300 << 20, "{}", server.memory_max());
}

#[test]
fn what_is_packed_stays_packed() {
    let bench = Bench::with_config(FOLDER);
    let (server, good) = server(&bench, "");
    // A few bytes of gzip that would be many.
    let packed =
        [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0x4b, 4, 0, 0x43, 0xbe, 0xb7, 0xe8, 1, 0, 0, 0];
    let draft = Draft {
        method: "PUT".into(),
        body: packed.to_vec(),
        more: vec![("content-encoding".into(), "gzip".into())],
        ..good.clone()
    };
    let (status, answer) = send(&server.host(), &draft.to("/bkt/packed").request());
    assert_eq!(status, 200, "{answer}");
    let read = server.client().get("/bkt/packed").unwrap();
    assert_eq!(read.body, packed);
    assert_eq!(read.header("content-encoding"), Some("gzip"));
}

#[test]
fn a_crowd_that_lists_at_once_is_served_or_told_to_come_back_in_bounded_memory() {
    const CONNECTIONS: usize = 800;
    let bench = Bench::with_config(&format!(
        "{FOLDER}[server]\nrequests_max = 16\nwaiting_max = 64\nconnections_max = 1000\n"
    ));
    let (server, good) = server(&bench, "");
    let client = server.client();
    for number in 0..200 {
        assert_eq!(client.put(&format!("/bkt/{number:03}"), b"").unwrap().status, 200);
    }
    let request = good.to("/bkt?list-type=2").request();
    let host = server.host();
    // All of them are there before the first one says the last byte of its request.
    let (last, rest) = request.split_last().unwrap();
    let mut crowd: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let mut stream = TcpStream::connect(&host).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.write_all(rest).unwrap();
            stream
        })
        .collect();
    for stream in &mut crowd {
        stream.write_all(&[*last]).unwrap();
    }
    let (mut served, mut told) = (0, 0);
    for stream in &mut crowd {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        if answer.starts_with("HTTP/1.1 200") {
            assert_eq!(answer.matches("<Key>").count(), 201);
            served += 1;
        } else {
            assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
            assert!(answer.contains("<Code>SlowDown</Code>"), "{answer}");
            told += 1;
        }
    }
    assert!(served > 0 && served + told == CONNECTIONS, "{served} {told}");
    assert!(server.memory_max() < 300 << 20, "{}", server.memory_max());
    assert_eq!(client.get("/bkt/good").unwrap().status, 200);
}

#[test]
fn no_secret_of_a_request_is_in_the_most_verbose_log() {
    let bench = Bench::with_config(FOLDER).variable("CLOUDBANK_LOG", "trace");
    let (server, good) = server(&bench, "");
    let customer = "Y3VzdG9tZXIta2V5LW9mLTMyLWJ5dGVzLXllcyEhISE=";
    let with_key = Draft {
        method: "PUT".into(),
        body: b"nobody should read this".to_vec(),
        more: vec![
            ("x-amz-server-side-encryption-customer-algorithm".into(), "AES256".into()),
            ("x-amz-server-side-encryption-customer-key".into(), customer.into()),
        ],
        ..good.clone()
    };
    let drafts = [
        good.clone(),
        Draft { way: Way::Query(60), ..good.clone() },
        Draft { secret: "a-secret-of-somebody-else".into(), ..good.clone() },
        Draft {
            more: vec![("x-amz-security-token".into(), "canary-token".into())],
            ..good.clone()
        },
        with_key.to("/bkt/c"),
    ];
    let mut hidden: Vec<String> = vec![
        good.secret.clone(),
        customer.into(),
        "a-secret-of-somebody-else".into(),
        "canary-token".into(),
        "nobody should read this".into(),
    ];
    for draft in &drafts {
        let request = draft.request();
        hidden.push(draft.signature());
        send(&server.host(), &request);
    }
    let logs = server.stop().logs;
    assert!(logs.contains("answered"), "the log is empty");
    for secret in hidden {
        assert!(secret.len() > 8 && !logs.contains(&secret), "{secret} is in the logs");
    }
}
