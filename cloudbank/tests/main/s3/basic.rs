//! The commands as they are typed, and what comes of them.

use expect_test::expect;

use super::Service;

#[test]
fn buckets_and_objects_come_and_go() {
    let service = Service::start();
    service.bench.write("a.txt", "hello");
    expect![[r#"
        $ s3 ls
        $ s3 mb s3://photos
        made s3://photos
        $ s3 mb s3://photos
        ! error: make s3://photos: the bucket is there already
        [4]
        $ s3 mb photos --if-absent
        there already: s3://photos
        $ s3 mb s3://of_people
        ! error: make s3://of_people: InvalidBucketName
        !   = a bucket has 3 to 63 lower-case letters, digits, dots and hyphens for a name
        [1]
        $ s3 cat s3://of_people/a
        ! error: read s3://of_people/a: InvalidBucketName
        !   = a bucket has 3 to 63 lower-case letters, digits, dots and hyphens for a name
        [1]
        $ s3 cp a.txt s3://photos
        upload   a.txt -> s3://photos/a.txt
        1 object copied (5 B), in TIME
        $ s3 cp a.txt s3://photos/2026/b.txt --quiet
        $ s3 cp a.txt s3://photos/2026/c/ --json
        {"action":"upload","size":5,"source":"a.txt","target":"s3://photos/2026/c/a.txt"}
        {"bytes":5,"copied":1,"dry_run":false,"failed":0,"left_out":0,"removed":0,"skipped":0}
        $ s3 ls
        TIME________________  s3://photos
        $ s3 ls s3://photos
                                  folder  2026/
        TIME________________         5 B  a.txt
        $ s3 ls s3://photos/2026/ --total
        TIME________________         5 B  2026/b.txt
                                  folder  2026/c/
        2 objects, 5 B
        $ s3 ls -r s3://photos --bytes
        TIME________________                5  2026/b.txt
        TIME________________                5  2026/c/a.txt
        TIME________________                5  a.txt
        $ s3 ls -r s3://photos --limit 1 --start-after 2026/b.txt --bytes
        TIME________________                5  2026/c/a.txt
        $ s3 ls s3://photos/2026/*.txt
        TIME________________         5 B  2026/b.txt
        $ s3 ls s3://photos/not-there
        ! error: there is nothing at s3://photos/not-there
        [3]
        $ s3 cat s3://photos/a.txt s3://photos/2026/b.txt
        hellohello
        $ s3 cat s3://photos/a.txt --range 1-3
        ell
        $ s3 cat s3://photos/a.txt --range 5-
        ! error: s3://photos/a.txt has no bytes from 5 on: it has 5
        [2]
        $ s3 cp s3://photos/a.txt s3://photos/d.txt
        copy     s3://photos/a.txt -> s3://photos/d.txt
        1 object copied (5 B), in TIME
        $ s3 mv s3://photos/d.txt e.txt
        move     s3://photos/d.txt -> e.txt
        1 object copied (5 B), in TIME
        $ s3 rm s3://photos/a.txt s3://photos/not-there
        remove   s3://photos/a.txt
        remove   s3://photos/not-there
        2 objects removed
        $ s3 rb s3://photos
        ! error: s3://photos is not empty
        !   = `cloudbank s3 rb --force` removes what is in it first
        [4]
        $ s3 rm -r s3://photos/2026 --dry-run
        remove   s3://photos/2026/b.txt
        remove   s3://photos/2026/c/a.txt
        nothing done; it would be: 2 objects removed
        $ s3 rb s3://photos --force
        removed s3://photos, with 2 versions in it
        $ s3 ls s3://photos
        ! error: list s3://photos/: there is no bucket "photos" (NoSuchBucket)
        [3]
    "#]]
    .assert_eq(&service.session(
        "s3 ls
         s3 mb s3://photos
         s3 mb s3://photos
         s3 mb photos --if-absent
         s3 mb s3://of_people
         s3 cat s3://of_people/a
         s3 cp a.txt s3://photos
         s3 cp a.txt s3://photos/2026/b.txt --quiet
         s3 cp a.txt s3://photos/2026/c/ --json
         s3 ls
         s3 ls s3://photos
         s3 ls s3://photos/2026/ --total
         s3 ls -r s3://photos --bytes
         s3 ls -r s3://photos --limit 1 --start-after 2026/b.txt --bytes
         s3 ls s3://photos/2026/*.txt
         s3 ls s3://photos/not-there
         s3 cat s3://photos/a.txt s3://photos/2026/b.txt
         s3 cat s3://photos/a.txt --range 1-3
         s3 cat s3://photos/a.txt --range 5-
         s3 cp s3://photos/a.txt s3://photos/d.txt
         s3 mv s3://photos/d.txt e.txt
         s3 rm s3://photos/a.txt s3://photos/not-there
         s3 rb s3://photos
         s3 rm -r s3://photos/2026 --dry-run
         s3 rb s3://photos --force
         s3 ls s3://photos",
    ));
    assert_eq!(service.bench.read("e.txt"), b"hello");
}

#[test]
fn what_is_known_of_an_object_is_shown_and_kept_when_it_is_copied() {
    let service = Service::start();
    service.ok("s3 mb s3://bkt");
    service.bench.write("a.html", "hello");
    service.ok("s3 cp a.html s3://bkt/a --metadata Who=ann,why=because --cache-control max-age=60");
    service.ok("s3 cp s3://bkt/a s3://bkt/copy");
    service.ok("s3 cp s3://bkt/a s3://bkt/other --content-type text/plain --metadata who=bob");
    expect![[r#"
        $ s3 stat s3://bkt/a
        object         s3://bkt/a
        size           5 (5 B)
        etag           "VERSION"
        modified       TIME________________
        content type   text/html
        cache control  max-age=60
        crc64nvme      M3eFcAZSQlc=
        metadata who   ann
        metadata why   because
        $ s3 stat s3://bkt/none
        ! error: stat s3://bkt/none: not found (status 404)
        [3]
        $ s3 stat s3://none
        ! error: stat s3://none: not found (status 404)
        [3]
    "#]]
    .assert_eq(&service.session("s3 stat s3://bkt/a\n s3 stat s3://bkt/none\n s3 stat s3://none"));
    let about = |key: &str| -> serde_json::Value {
        serde_json::from_str(&service.ok(&format!("s3 stat s3://bkt/{key} --json"))).unwrap()
    };
    let copy = about("copy");
    assert_eq!(copy["metadata"], serde_json::json!({ "who": "ann", "why": "because" }));
    assert_eq!(copy["content_type"], "text/html");
    let other = about("other");
    assert_eq!(other["metadata"], serde_json::json!({ "who": "bob" }));
    assert_eq!(other["content_type"], "text/plain");
    assert_eq!(other["cache_control"], "max-age=60");
    // Onto itself, to change what is said of it.
    service.ok("s3 cp s3://bkt/a s3://bkt/a --content-type text/x");
    assert_eq!(about("a")["content_type"], "text/x");
}

#[test]
fn lists_of_access_are_shown_and_changed() {
    let service = Service::start();
    service.ok("s3 mb s3://bkt");
    service.put("s3://bkt/x/1", b"1");
    service.put("s3://bkt/x/2", b"2");
    expect![[r#"
        $ s3 getacl s3://bkt
        WHO       MAY
        operator  own it
        operator  FULL_CONTROL
        $ s3 setacl s3://bkt/x/1 public-read
        s3://bkt/x/1 is public-read
        $ s3 getacl s3://bkt/x/1
        WHO        MAY
        operator   own it
        everybody  READ
        operator   FULL_CONTROL
        $ s3 cat s3://bkt/x/1 --anonymous
        1
        $ s3 cat s3://bkt/x/2 --anonymous
        ! error: read s3://bkt/x/2: permission denied (status 403)
        [2]
        $ s3 setacl s3://bkt/x/ public-read -r
        2 objects of s3://bkt/x/ made public-read
        $ s3 cat s3://bkt/x/2 --anonymous
        2
        $ s3 setacl s3://bkt public
        ! error: `public` is no list of access
        !   = expected one of private, public-read, public-read-write, authenticated-read, bucket-owner-read, bucket-owner-full-control, aws-exec-read
        !   = did you mean `public-read`?
        [2]
    "#]]
    .assert_eq(&service.session(
        "s3 getacl s3://bkt
         s3 setacl s3://bkt/x/1 public-read
         s3 getacl s3://bkt/x/1
         s3 cat s3://bkt/x/1 --anonymous
         s3 cat s3://bkt/x/2 --anonymous
         s3 setacl s3://bkt/x/ public-read -r
         s3 cat s3://bkt/x/2 --anonymous
         s3 setacl s3://bkt public",
    ));
}

#[test]
fn a_presigned_address_works_for_whoever_has_it() {
    let service = Service::start();
    service.ok("s3 mb s3://bkt");
    service.put("s3://bkt/a-b.txt", b"hello");
    let get = |line: &str| {
        let url = service.ok(line);
        let target = url.trim().split_once(&service.server.host()).unwrap().1.to_owned();
        crate::serve::client::ask(&service.server.host(), &target).unwrap()
    };
    let answer = get("s3 presign s3://bkt/a-b.txt --expires-in 60");
    assert_eq!((answer.status, &answer.body[..]), (200, &b"hello"[..]), "{answer:?}");
    // Another method than the one that was signed.
    assert_eq!(get("s3 presign s3://bkt/a-b.txt --method put").status, 403);
    let said = service.session("s3 presign s3://bkt/a-b.txt --expires-in 8days");
    assert!(said.contains("longer than a week") && said.ends_with("[2]\n"), "{said}");
}

#[test]
fn versions_and_the_past_can_be_had() {
    let service = Service::start();
    service.ok("s3 mb s3://bkt");
    service.put("s3://bkt/a", b"first");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let then = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    service.put("s3://bkt/a", b"second");
    service.put("s3://bkt/new", b"new");
    assert_eq!(service.cat("s3://bkt/a"), b"second");
    assert_eq!(service.cat(&format!("s3://bkt/a --at {then}")), b"first");
    let listed = service.ok(&format!("s3 ls s3://bkt --at {then} --json"));
    assert_eq!(listed.lines().count(), 1, "{listed}");
    let said = service.session(&format!("s3 cp -r s3://bkt s3://bkt/old/ --at {then}"));
    assert!(said.contains("within the service") && said.ends_with("[2]\n"), "{said}");
    service.ok(&format!("s3 sync s3://bkt then --at {then}"));
    assert_eq!(service.bench.read("then/a"), b"first");
    let said = service.session("s3 ls s3://bkt --at yesterday");
    assert!(said.contains("is no version and no time") && said.ends_with("[2]\n"), "{said}");

    // Versions of the protocol: every put is one once they are asked for.
    let client = service.server.client();
    let on = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    assert_eq!(client.put("/bkt?versioning", on).unwrap().status, 200);
    service.put("s3://bkt/v", b"one");
    service.put("s3://bkt/v", b"two");
    service.ok("s3 rm s3://bkt/v");
    let listed = service.ok("s3 ls -r s3://bkt/v --versions --json");
    let versions: Vec<serde_json::Value> =
        listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(versions.len(), 3, "{listed}");
    assert_eq!(versions[0]["delete_marker"], true);
    assert_eq!(versions[0]["is_latest"], true);
    let oldest = versions[2]["version_id"].as_str().unwrap();
    assert_eq!(service.cat(&format!("s3://bkt/v --version-id {oldest}")), b"one");
    service.ok(&format!("s3 cp s3://bkt/v s3://bkt/v --version-id {oldest}"));
    assert_eq!(service.cat("s3://bkt/v"), b"one");
    service.ok("s3 rm -r --versions s3://bkt --yes");
    assert_eq!(service.ok("s3 ls -r s3://bkt --versions"), "");
    service.ok("s3 rb s3://bkt");
}
