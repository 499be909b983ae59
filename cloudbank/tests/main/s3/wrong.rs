//! What cannot be meant, and services that are not there: what is said, and with which exit code.

use expect_test::expect;

use super::Service;
use crate::serve::running::Running;
use crate::support::Bench;

#[test]
fn what_cannot_be_meant_is_refused_before_anything_is_sent() {
    // Nobody listens there.
    let bench = Bench::empty()
        .variable("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        .variable("AWS_ACCESS_KEY_ID", "id")
        .variable("AWS_SECRET_ACCESS_KEY", "secret");
    bench.write("a", "a");
    std::fs::create_dir(bench.path("d")).unwrap();
    expect![[r#"
        $ s3 cp a b
        ! error: one of both must be an object: s3://BUCKET/KEY
        !   = between files, use the system's cp
        [2]
        $ s3 cp d s3://bkt
        ! error: d is a folder
        !   = --recursive copies all that is in it
        [2]
        $ s3 cp nothing s3://bkt
        ! error: there is no file nothing
        [3]
        $ s3 cp s3://bkt .
        ! error: s3://bkt/ is a bucket
        !   = --recursive copies all that is in it
        [2]
        $ s3 cp -r s3://bkt s3://bkt/in/
        ! error: s3://bkt/in/ is in s3://bkt/: it would be copied into itself
        [2]
        $ s3 mv s3://bkt/a s3://bkt/a
        ! error: source and target are the same
        !   = with --metadata, --content-type and their like, `cp` changes what is said of objects
        [2]
        $ s3 cp -r s3://bkt -
        ! error: several objects do not go to standard output
        !   = `cloudbank s3 cat` writes one after the other
        [2]
        $ s3 cp - s3://bkt/
        ! error: standard input goes to one object: s3://BUCKET/KEY
        [2]
        $ s3 cp a s3:/bkt/a
        ! error: `s3:/bkt/a` is no address of an S3 service
        !   = expected s3://BUCKET or s3://BUCKET/KEY
        [2]
        $ s3 cp a s3://bkt@v7/a
        ! error: what is past cannot be changed: leave out what comes after @
        [2]
        $ s3 cp a s3://bkt --part-size 1MiB
        ! error: --part-size `1MiB` is no size of a part
        !   = expected a size from 5MiB to 1GiB
        [2]
        $ s3 sync nothing s3://bkt
        ! error: there is no folder nothing
        [3]
        $ s3 sync a s3://bkt
        ! error: a is a file
        !   = `cloudbank s3 cp` copies files
        [2]
        $ s3 sync s3://bkt/x s3://bkt/x/y
        ! error: one of both is in the other
        [2]
        $ s3 rm s3://bkt
        ! error: `s3://bkt` is a bucket
        !   = --recursive removes all that is in it, `cloudbank s3 rb` the bucket
        [2]
        $ s3 ls photos
        ! error: `photos` is no address of an S3 service
        !   = s3://photos would be one
        [2]
        $ s3 ls s3://bkt/[
        ! error: `[` is no pattern: unclosed character class; missing ']'
        !   = --literal takes a key as it is
        [2]
        $ s3 ls --endpoint ftp://x
        ! error: the endpoint `ftp://x` does not begin with https:// or http://
        !   = expected something like https://host:port
        [2]
        $ s3 ls --provider local
        ! error: provider `local` is of type fs, which is no S3 service
        !   = `cloudbank provider` works with any type
        [2]
        $ s3 ls --profile nobody
        ! error: there is no profile `nobody` in the files of the AWS command line
        [2]
    "#]]
    .assert_eq(&bench.session(
        "s3 cp a b
         s3 cp d s3://bkt
         s3 cp nothing s3://bkt
         s3 cp s3://bkt .
         s3 cp -r s3://bkt s3://bkt/in/
         s3 mv s3://bkt/a s3://bkt/a
         s3 cp -r s3://bkt -
         s3 cp - s3://bkt/
         s3 cp a s3:/bkt/a
         s3 cp a s3://bkt@v7/a
         s3 cp a s3://bkt --part-size 1MiB
         s3 sync nothing s3://bkt
         s3 sync a s3://bkt
         s3 sync s3://bkt/x s3://bkt/x/y
         s3 rm s3://bkt
         s3 ls photos
         s3 ls s3://bkt/[
         s3 ls --endpoint ftp://x
         s3 ls --provider local
         s3 ls --profile nobody",
    ));
    let said = bench.session("s3 ls --retries 0");
    assert!(said.contains("refused") && said.ends_with("[1]\n"), "{said}");
}

#[test]
fn the_first_service_that_is_said_counts() {
    let service = Service::start();
    service.ok("s3 mb s3://here");
    let said = |name: &str| service.server.said[name].as_str().unwrap().to_owned();
    let (key, secret) = (said("access_key"), said("secret_key"));
    let endpoint = format!("http://{}", service.server.host());
    let check = |bench: &Bench, line: &str| {
        let shown = bench.session(line);
        assert!(shown.contains("s3://here"), "{shown}");
    };
    let nowhere = || {
        Bench::empty()
            .variable("AWS_CONFIG_FILE", "config")
            .variable("AWS_SHARED_CREDENTIALS_FILE", "credentials")
            .variable("AWS_EC2_METADATA_DISABLED", "true")
    };
    // A provider of the configuration.
    let bench = nowhere();
    bench.write(
        "cloudbank.toml",
        format!(
            "[providers.it]\ntype = \"s3\"\nbucket = \"any\"\nallow_http = true\nendpoint = \"{endpoint}\"\n\
             access_key_id = \"{key}\"\nsecret_access_key = \"{secret}\"\n"
        ),
    );
    check(&bench, "s3 ls -p it");
    // Flags, the secret in a file.
    let bench = nowhere();
    bench.write("secret", format!("{secret}\n"));
    check(
        &bench,
        &format!("s3 ls --endpoint {endpoint} --access-key {key} --secret-key file:secret"),
    );
    // A profile, its keys in one file and the endpoint in the other.
    let bench = nowhere();
    bench.write(
        "credentials",
        format!("[mine]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n"),
    );
    bench.write("config", format!("[profile mine]\nendpoint_url = {endpoint}\n"));
    check(&bench, "s3 ls --profile mine");
    check(&bench.variable("AWS_PROFILE", "mine"), "s3 ls");
    // The server that the configuration here describes.
    let bench = nowhere();
    bench.write(
        "cloudbank.toml",
        format!(
            "[providers.m]\ntype = \"memory\"\n[s3]\nlisten = \"{}\"\n[[s3.keys]]\naccess_key = \"{key}\"\nsecret_key = \"{secret}\"\n",
            service.server.host()
        ),
    );
    check(&bench, "s3 ls");
    // The wrong secret, and none of the two is shown.
    let bench = nowhere();
    let line =
        format!("s3 ls -v --endpoint {endpoint} --access-key {key} --secret-key not-it-at-all");
    let shown = bench.session(&line).replacen(&line, "", 1);
    assert!(shown.contains("SignatureDoesNotMatch") && shown.ends_with("[2]\n"), "{shown}");
    assert!(!shown.contains("not-it-at-all") && !shown.contains(&secret), "{shown}");
}

#[test]
fn the_server_that_was_started_here_is_found_with_its_keys() {
    let place = Bench::with_config(super::SERVER)
        .variable("AWS_CONFIG_FILE", "no-such-file")
        .variable("AWS_SHARED_CREDENTIALS_FILE", "no-such-file");
    let server = Running::start(&place, "");
    // On a port that only the configuration of the next command names.
    let config = format!("{}[s3]\nlisten = \"{}\"\n", super::SERVER, server.host());
    place.write("cloudbank.toml", config);
    place.ok("s3 mb s3://mine");
    assert!(place.ok("s3 ls").contains("s3://mine"));
}
