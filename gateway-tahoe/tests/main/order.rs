//! In which order a request is looked at: what is wrong first is what is said.

use crate::support::{Bench, CANCEL, ENABLER, RENEW, UPLOAD, allocate, unhex};

#[tokio::test]
async fn path_method_swissnum_secrets_and_then_the_rest() {
    let bench = Bench::new().await;
    let request = |method: &str, path: &str, authorization: &str| {
        let path = path.replace("SI", crate::support::SI);
        http::Request::builder()
            .method(method)
            .uri(format!("/storage/v1/{path}"))
            .header("authorization", authorization)
            .body(Default::default())
            .unwrap()
    };
    let check = async |method: &str, path: &str, authorization: &str, status: u16| {
        let said = bench.send(request(method, path, authorization)).await;
        assert_eq!(said.status, status, "{method} {path} {authorization}");
        assert_ne!(said.kind.as_deref(), Some("text/html"));
    };
    let right = "Tahoe-LAFS c3dpc3NudW0=";
    check("GET", "nothing", "", 404).await;
    check("DELETE", "version", "", 405).await;
    check("GET", "version", "", 401).await;
    check("GET", "version", "Tahoe-LAFS", 401).await;
    check("GET", "version", "tahoe-lafs c3dpc3NudW0=", 401).await;
    check("GET", "version", "Basic c3dpc3NudW0=", 401).await;
    check("GET", "version", "Tahoe-LAFS c3dpc3NudW0", 401).await;
    check("GET", "version", "Tahoe-LAFS c3dpc3NudW0= ", 401).await;
    check("GET", "version", right, 200).await;
    check("HEAD", "version", right, 200).await;
    check("PUT", "lease/SI", "", 401).await;
    check("PUT", "lease/SI", right, 400).await;
    check("POST", "immutable/SI", right, 400).await;
    check("PATCH", "immutable/SI/0", right, 400).await;
    check("PUT", "immutable/SI/0/abort", right, 400).await;
    check("POST", "mutable/SI/read-test-write", right, 400).await;
    assert_eq!(bench.gateway.strangers(), 7);
}

#[tokio::test]
async fn bodies_are_cbor_of_a_bounded_length_and_then_what_the_schema_says() {
    let bench = Bench::new().await;
    let upload = ("x-tahoe-authorization", UPLOAD);
    let check = async |path: &str, kind: Option<&str>, body: Vec<u8>, status: u16| {
        let mut headers = match path {
            "immutable/SI" => vec![RENEW, CANCEL, upload],
            "mutable/SI/read-test-write" => vec![RENEW, CANCEL, ENABLER],
            _ => vec![],
        };
        headers.extend(kind.map(|kind| ("content-type", kind)));
        let said = bench.ask("POST", path, &headers, body).await;
        assert_eq!(said.status, status, "{path} {kind:?}: {:?}", said.body);
    };
    let right = allocate(&[0], 10).to_vec();
    check("immutable/SI", Some("application/json"), right.clone(), 415).await;
    check("immutable/SI", Some("text/plain"), vec![0; 10_000], 415).await;
    check("immutable/SI", Some("application/cbor"), vec![0; 8193], 413).await;
    check("immutable/SI", None, vec![0; 8192], 400).await;
    check("immutable/SI", None, vec![], 400).await;
    check("immutable/SI", Some("application/cbor; charset=x"), right.clone(), 200).await;
    check("immutable/SI", None, right, 200).await;
    for path in ["immutable/SI/9/corrupt", "mutable/SI/9/corrupt"] {
        check(path, Some("text/plain"), vec![0; 40_000], 404).await;
    }
    bench.share(1, b"x").await;
    let path = "immutable/SI/1/corrupt";
    check(path, Some("text/plain"), vec![], 415).await;
    check(path, None, vec![0; 32_769], 413).await;
    check(path, None, vec![0; 32_768], 400).await;
    check(path, None, unhex("a166726561736f6e63626164").to_vec(), 200).await;
    let path = "mutable/SI/read-test-write";
    check(path, Some("application/json"), vec![], 415).await;
    check(path, None, vec![], 400).await;
}

#[tokio::test]
async fn answers_are_cbor_or_none() {
    let bench = Bench::new().await;
    for (accept, status) in [
        ("application/cbor", 200),
        ("*/*", 406),
        ("application/json", 406),
        ("text/html;q=0.1,application/cbor", 200),
    ] {
        for path in ["version", "immutable/SI/shares", "mutable/SI/shares"] {
            let said = bench.ask("GET", path, &[("accept", accept)], "").await;
            assert_eq!(said.status, status, "{path} {accept}");
            if status == 200 {
                assert_eq!(said.kind.as_deref(), Some("application/cbor"));
            }
        }
    }
}

#[tokio::test]
async fn a_file_is_of_one_kind() {
    let bench = Bench::new().await;
    bench.share(0, b"x").await;
    let create = "a272746573742d77726974652d766563746f7273a100a36474657374806577726974658\
                  06a6e65772d6c656e677468f66b726561642d766563746f7280";
    assert_eq!(bench.rtw(create).await.status, 409);
    assert_eq!(bench.ask("GET", "mutable/SI/shares", &[], "").await.hex(), "d9010280");
    assert_eq!(bench.ask("GET", "mutable/SI/0", &[], "").await.status, 404);
    let bench = Bench::new().await;
    assert_eq!(bench.rtw(create).await.status, 200);
    assert_eq!(bench.allocate(&[0], 10, UPLOAD).await.status, 409);
    assert_eq!(bench.ask("GET", "immutable/SI/0", &[], "").await.status, 404);
}
