//! A service that fails now and then, and one that lies: what gets through is right, and what is not is told.

use std::fs;

use super::proxy::{Fault, Proxy};
use super::{Service, noise};

const MIB: usize = 1 << 20;

#[test]
fn what_fails_now_and_then_succeeds_in_the_end() {
    let service = Service::start();
    service.ok("s3 mb s3://bkt");
    for number in 0..10 {
        fs::create_dir_all(service.bench.path("in/sub")).unwrap();
        service.bench.write(&format!("in/sub/{number}"), noise(number * 1000));
    }
    let large = noise(11 * MIB);
    service.bench.write("in/large", &large);
    let source = service.bench.path("in").display().to_string();
    for fault in [Fault::Refused, Fault::Dropped, Fault::Lost, Fault::CutOff] {
        let proxy = Proxy::start(&service.server.host(), move |seen| {
            if seen.number % 4 == 1 { fault } else { Fault::None }
        });
        let bench = service.through(&proxy.host);
        let ok = |line: &str| {
            let output = bench.feed(line, b"");
            assert!(output.status.success(), "{fault:?}: {line}: {}", bench.shown(&output));
        };
        let prefix = format!("{fault:?}").to_lowercase();
        ok(&format!("s3 sync {source} s3://bkt/{prefix} --part-size 5MiB --retries 8"));
        ok(&format!("s3 cp -r s3://bkt/{prefix} s3://bkt/{prefix}-copy --retries 8"));
        ok(&format!("s3 cp -r s3://bkt/{prefix}-copy down --part-size 5MiB --retries 8"));
        for number in 0..10 {
            assert!(bench.read(&format!("down/sub/{number}")) == noise(number * 1000));
        }
        assert!(bench.read("down/large") == large, "{fault:?}");
        ok(&format!("s3 rm -r s3://bkt/{prefix}-copy --retries 8"));
        assert!(proxy.requests() > 30);
    }
}

#[test]
fn what_arrives_otherwise_than_it_is_stored_is_no_file() {
    let service = Service::start();
    service.ok("s3 mb s3://bkt");
    let large = noise(12 * MIB);
    service.bench.write("large", &large);
    service.ok("s3 cp large s3://bkt/large --part-size 5MiB");
    service.put("s3://bkt/small", b"small and good");
    let check = |fault: Fault, key: &str, expected: &[&str]| {
        let proxy = Proxy::start(&service.server.host(), move |seen| {
            if seen.method == "GET" { fault } else { Fault::None }
        });
        let bench = service.through(&proxy.host);
        for line in [
            format!("s3 cp s3://bkt/{key} file --part-size 5MiB"),
            format!("s3 cat s3://bkt/{key}"),
        ] {
            let output = bench.feed(&line, b"");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(1), "{fault:?} {line}: {said}");
            let told = expected.iter().any(|expected| said.contains(expected));
            assert!(told && said.contains(key), "{fault:?} {line}: {said}");
        }
        assert!(!bench.path("file").exists());
        // Nor is anything left beside it.
        assert_eq!(fs::read_dir(bench.path(".")).unwrap().count(), 0);
    };
    let damaged = ["what arrived is not what is stored"];
    check(Fault::Changed, "small", &damaged);
    check(Fault::Changed, "large", &damaged);
    let shorter = ["it has 14 bytes, but then it had 13", "were asked for", "too short"];
    check(Fault::SaidShorter, "small", &shorter);
    check(Fault::SaidShorter, "large", &shorter);
}

#[test]
fn a_listing_that_cannot_be_trusted_removes_nothing() {
    let service = Service::start();
    service.ok("s3 mb s3://bkt");
    for key in ["a", "b", "c"] {
        service.put(&format!("s3://bkt/{key}"), key.as_bytes());
    }
    fs::create_dir(service.bench.path("full")).unwrap();
    for name in ["a", "b", "c", "d"] {
        service.bench.write(&format!("full/{name}"), name);
    }
    let full = service.bench.path("full").display().to_string();
    // In each the last one is missing that is there, or comes once more.
    let page = |keys: &[&str], more: &str| {
        let contents: String = keys
            .iter()
            .map(|key| format!("<Contents><Key>{key}</Key><Size>1</Size><LastModified>2026-11-22T10:00:00.000Z</LastModified></Contents>"))
            .collect();
        format!("<ListBucketResult>{more}{contents}</ListBucketResult>")
    };
    let token = "<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>";
    let cases = [
        ("the same page for ever", page(&["a", "b"], token)),
        ("out of order", page(&["b", "a", "b"], "")),
        ("twice the same", page(&["a", "a"], "")),
        ("more, but not where", page(&["a"], "<IsTruncated>true</IsTruncated>")),
        (
            "what was not asked for",
            page(&["a", "b"], "").replace(">b<", ">q<").replace(">a<", ">x<"),
        ),
        ("cut off", page(&["a"], "").replace("</ListBucketResult>", "")),
        ("no listing", "<html><body>welcome</body>".into()),
        ("not UTF-8 when decoded", page(&["%ff"], "<EncodingType>url</EncodingType>")),
        ("encoded otherwise", page(&["a"], "<EncodingType>rot13</EncodingType>")),
    ];
    for (what, listing) in cases {
        let liar = Liar::start(listing);
        let bench = service.through(&liar.0);
        let prefix = if what == "what was not asked for" { "x" } else { "" };
        for line in [
            format!("s3 sync s3://bkt/{prefix} {full} --delete --retries 0"),
            format!("s3 sync {full} s3://bkt/{prefix} --delete --retries 0"),
            format!("s3 rm -r s3://bkt/{prefix} --retries 0 --dry-run"),
        ] {
            let output = bench.feed(&line, b"");
            let said = bench.shown(&output);
            assert_eq!(output.status.code(), Some(1), "{what}: {line}: {said}");
            assert!(said.contains("s3://bkt/"), "{what}: {line}: {said}");
        }
        assert_eq!(fs::read_dir(&full).unwrap().count(), 4, "{what}");
    }
}

/// A server that answers every listing with the same, and everything else with success. Its address.
struct Liar(String);

impl Liar {
    fn start(listing: String) -> Self {
        use std::io::{BufRead, BufReader, Read, Write};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        // It ends with the process; nobody asks it any more.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let listing = listing.clone();
                std::thread::spawn(move || {
                    let mut reader = BufReader::new(&stream);
                    loop {
                        let mut first = String::new();
                        let mut length = 0;
                        if reader.read_line(&mut first).unwrap_or(0) == 0 {
                            return;
                        }
                        loop {
                            let mut line = String::new();
                            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                                return;
                            }
                            let line = line.to_ascii_lowercase();
                            if let Some(value) = line.strip_prefix("content-length:") {
                                length = value.trim().parse().unwrap();
                            }
                            if line.trim().is_empty() {
                                break;
                            }
                        }
                        let mut body = vec![0; length];
                        if reader.read_exact(&mut body).is_err() {
                            return;
                        }
                        assert!(
                            !first.starts_with("DELETE") && !first.contains("delete"),
                            "{first}"
                        );
                        let body = if first.starts_with("GET") { listing.as_str() } else { "" };
                        let length = body.len();
                        let answer = format!(
                            "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\netag: \"e\"\r\n\r\n{body}"
                        );
                        if (&stream).write_all(answer.as_bytes()).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self(host)
    }
}
