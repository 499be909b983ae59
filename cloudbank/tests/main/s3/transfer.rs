//! Many and large objects: up, down, across, and one side as the other.

use std::fs;
use std::time::{Duration, SystemTime};

use expect_test::expect;
use rustix::process::{Pid, Signal, kill_process};

use super::proxy::{Fault, Proxy};
use super::{Service, noise, wait};

const MIB: usize = 1 << 20;

/// A folder with a few files, the same each time.
fn folder(service: &Service) {
    fs::create_dir_all(service.bench.path("in/sub")).unwrap();
    for (name, text) in [("a.txt", "a"), ("b.tmp", "bb"), ("sub/c.txt", "ccc"), ("sub.x", "")] {
        service.bench.write(&format!("in/{name}"), text);
    }
}

#[test]
fn folders_go_up_and_come_down() {
    let service = Service::start();
    folder(&service);
    #[cfg(unix)]
    std::os::unix::fs::symlink("a.txt", service.bench.path("in/link")).unwrap();
    service.ok("s3 mb s3://bkt");
    expect![[r#"
        $ s3 cp -r in s3://bkt/p --exclude *.tmp --dry-run
        upload   in/a.txt -> s3://bkt/p/a.txt
        upload   in/sub.x -> s3://bkt/p/sub.x
        upload   in/sub/c.txt -> s3://bkt/p/sub/c.txt
        nothing done; it would be: 3 objects copied (4 B), 1 left out
        ! left out: in/link: it is a link
        $ s3 cp -r in s3://bkt/p --exclude *.tmp --jobs 1
        upload   in/a.txt -> s3://bkt/p/a.txt
        upload   in/sub.x -> s3://bkt/p/sub.x
        upload   in/sub/c.txt -> s3://bkt/p/sub/c.txt
        3 objects copied (4 B), 1 left out, in TIME
        ! left out: in/link: it is a link
        $ s3 cp -r in s3://bkt/q --follow-links --include *.txt --include link --quiet
        $ s3 ls -r s3://bkt/q --bytes
        TIME________________                1  q/a.txt
        TIME________________                1  q/link
        TIME________________                3  q/sub/c.txt
        $ s3 cp -r s3://bkt/p out --jobs 1
        download s3://bkt/p/a.txt -> out/a.txt
        download s3://bkt/p/sub.x -> out/sub.x
        download s3://bkt/p/sub/c.txt -> out/sub/c.txt
        3 objects copied (4 B), in TIME
        $ s3 cp s3://bkt/*/a.txt out2 --jobs 1
        download s3://bkt/p/a.txt -> out2/p/a.txt
        download s3://bkt/q/a.txt -> out2/q/a.txt
        2 objects copied (2 B), in TIME
        $ s3 cp s3://bkt/p/a.txt s3://bkt/none out3 --jobs 1
        download s3://bkt/p/a.txt -> out3/a.txt
        1 object copied (1 B), 1 failed, in TIME
        ! error: read s3://bkt/none: not found (status 404)
        [3]
        $ s3 cp s3://bkt/p/a.txt out/a.txt --if-absent
        0 objects copied (0 B), 1 failed, in TIME
        ! error: out/a.txt is there already, and was left as it is
        [4]
        $ s3 cp in/a.txt s3://bkt/p/a.txt --if-absent
        0 objects copied (0 B), 1 failed, in TIME
        ! error: put s3://bkt/p/a.txt: a condition does not hold (PreconditionFailed)
        [4]
        $ s3 mv -r s3://bkt/p s3://bkt/r --jobs 1
        move     s3://bkt/p/a.txt -> s3://bkt/r/a.txt
        move     s3://bkt/p/sub.x -> s3://bkt/r/sub.x
        move     s3://bkt/p/sub/c.txt -> s3://bkt/r/sub/c.txt
        3 objects copied (4 B), in TIME
        $ s3 ls s3://bkt
                                  folder  q/
                                  folder  r/
    "#]]
    .assert_eq(&service.session(
        "s3 cp -r in s3://bkt/p --exclude *.tmp --dry-run
         s3 cp -r in s3://bkt/p --exclude *.tmp --jobs 1
         s3 cp -r in s3://bkt/q --follow-links --include *.txt --include link --quiet
         s3 ls -r s3://bkt/q --bytes
         s3 cp -r s3://bkt/p out --jobs 1
         s3 cp s3://bkt/*/a.txt out2 --jobs 1
         s3 cp s3://bkt/p/a.txt s3://bkt/none out3 --jobs 1
         s3 cp s3://bkt/p/a.txt out/a.txt --if-absent
         s3 cp in/a.txt s3://bkt/p/a.txt --if-absent
         s3 mv -r s3://bkt/p s3://bkt/r --jobs 1
         s3 ls s3://bkt",
    ));
}

#[test]
fn a_sync_copies_what_differs_and_removes_what_is_too_much_only_when_asked() {
    let service = Service::start();
    folder(&service);
    service.ok("s3 mb s3://bkt");
    let said = |line: &str| service.session(line);
    let first = said("s3 sync in s3://bkt/p");
    assert!(first.contains("\n4 objects copied (6 B), in TIME"), "{first}");
    let second = said("s3 sync in s3://bkt/p");
    assert!(second.contains("\n0 objects copied (0 B), 4 there already, in TIME"), "{second}");
    // Another size; the same size, but newer; older, with the same size.
    service.bench.write("in/a.txt", "longer");
    let later = SystemTime::now() + Duration::from_secs(3600);
    let at = |name: &str, time: SystemTime| {
        let file = fs::File::options().write(true).open(service.bench.path(name)).unwrap();
        file.set_modified(time).unwrap();
    };
    at("in/b.tmp", later);
    at("in/sub/c.txt", SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000));
    service.put("s3://bkt/p/more", b"more");
    service.put("s3://bkt/p/more.tmp", b"more");
    expect![[r#"
        $ s3 sync in s3://bkt/p --size-only --dry-run
        upload   in/a.txt -> s3://bkt/p/a.txt
        nothing done; it would be: 1 object copied (6 B), 3 there already
        $ s3 sync in s3://bkt/p --jobs 1 --delete --max-delete 1
        upload   in/a.txt -> s3://bkt/p/a.txt
        upload   in/b.tmp -> s3://bkt/p/b.tmp
        ! 2 objects copied (8 B), 2 there already
        ! error: 2 objects would be removed from s3://bkt/p/, more than the 1 of --max-delete: nothing was
        [4]
        $ s3 sync in s3://bkt/p --jobs 1 --delete --exclude *.tmp
        remove   s3://bkt/p/more
        0 objects copied (0 B), 1 removed, 3 there already, in TIME
        $ s3 sync s3://bkt/p out --jobs 1 --quiet
        $ s3 sync s3://bkt/p out --jobs 1 --exact-time
        0 objects copied (0 B), 5 there already, in TIME
        $ s3 sync s3://bkt/not-there out --delete
        ! 0 objects copied (0 B)
        ! error: there is nothing below s3://bkt/not-there/, so nothing was removed
        !   = `cloudbank s3 rm -r` removes everything
        [3]
        $ s3 sync s3://none/x out --delete
        ! 0 objects copied (0 B)
        ! error: list s3://none/x/: there is no bucket "none" (NoSuchBucket)
        [3]
    "#]]
    .assert_eq(&service.session(
        "s3 sync in s3://bkt/p --size-only --dry-run
         s3 sync in s3://bkt/p --jobs 1 --delete --max-delete 1
         s3 sync in s3://bkt/p --jobs 1 --delete --exclude *.tmp
         s3 sync s3://bkt/p out --jobs 1 --quiet
         s3 sync s3://bkt/p out --jobs 1 --exact-time
         s3 sync s3://bkt/not-there out --delete
         s3 sync s3://none/x out --delete",
    ));
    // A file that was touched is older than nothing; with --exact-time it differs all the same.
    at("out/a.txt", later);
    assert!(said("s3 sync s3://bkt/p out").contains("5 there already"));
    let exact = said("s3 sync s3://bkt/p out --exact-time");
    assert!(exact.contains("download s3://bkt/p/a.txt -> out/a.txt"), "{exact}");
    service.bench.write("out/mine", "mine");
    let deleted = said("s3 sync s3://bkt/p out --delete");
    assert!(deleted.contains("remove   out/mine\n"), "{deleted}");
    assert!(!service.bench.path("out/mine").exists());
}

#[test]
fn large_objects_go_in_parts_and_come_back_in_parts() {
    let service = Service::start();
    service.ok("s3 mb s3://bkt");
    let large = noise(23 * MIB + 17);
    service.bench.write("large", &large);
    service.ok("s3 cp large s3://bkt/large --part-size 5MiB --metadata a=b");
    let about: serde_json::Value =
        serde_json::from_str(&service.ok("s3 stat s3://bkt/large --json")).unwrap();
    assert!(about["etag"].as_str().unwrap().ends_with("-5\""), "{about}");
    assert!(about["crc64nvme"].is_string(), "{about}");
    assert_eq!(about["metadata"]["a"], "b");
    service.ok("s3 cp s3://bkt/large back --part-size 5MiB");
    assert!(service.bench.read("back") == large);
    assert!(service.cat("s3://bkt/large") == large);
    // From standard input, of which nobody knows how much there is.
    service.put("s3://bkt/stream", &large);
    let stream = service.bench.feed("s3 cp s3://bkt/stream -", b"");
    assert!(stream.stdout == large);
    service.put("s3://bkt/nothing", b"");
    assert_eq!(service.cat("s3://bkt/nothing"), b"");
    let again = service.ok("s3 cp s3://bkt/nothing empty");
    assert!(again.contains("1 object copied (0 B)"), "{again}");
    assert_eq!(service.ok("s3 ls s3://bkt --uploads"), "");
}

#[test]
fn what_is_killed_goes_on_when_it_is_run_again_and_what_is_interrupted_leaves_nothing() {
    let service = Service::start();
    service.ok("s3 mb s3://bkt");
    fs::create_dir(service.bench.path("in")).unwrap();
    for number in 0..6 {
        service.bench.write(&format!("in/{number}"), noise(1000 + number));
    }
    let large = noise(17 * MIB);
    service.bench.write("in/large", &large);
    let uploads = || service.ok("s3 ls s3://bkt --uploads").lines().count();
    // The third part never gets an answer.
    for (signal, left) in [(Signal::KILL, 1), (Signal::TERM, 1)] {
        let proxy = Proxy::start(&service.server.host(), |seen| {
            let third = seen.target.contains("partNumber=3");
            if third { Fault::Held } else { Fault::None }
        });
        let bench = service.through(&proxy.host);
        let source = service.bench.path("in").display().to_string();
        let arguments = ["s3", "sync", &source, "s3://bkt/p", "--part-size", "5MiB"];
        let child = bench.command(&arguments).spawn().unwrap();
        proxy.wait_for_held(1);
        kill_process(Pid::from_child(&child), signal).unwrap();
        let ended = wait(child);
        assert!(!ended.status.success());
        if signal == Signal::TERM {
            let said = bench.shown(&ended);
            assert!(said.contains("run the same command again to go on"), "{said}");
            assert!(said.ends_with("[130]\n"), "{said}");
        }
        // Killed, it could not give up its upload; interrupted, it did.
        assert_eq!(uploads(), left, "{signal:?}");
        let listed = service.ok("s3 ls -r s3://bkt/p");
        assert!(!listed.contains("large"), "{listed}");
    }
    let again = service.ok("s3 sync in s3://bkt/p");
    assert!(again.contains("upload   in/large -> s3://bkt/p/large\n"), "{again}");
    assert!(again.contains(" there already"), "{again}");
    assert!(service.cat("s3://bkt/p/large") == large);
    let said = service.ok("s3 rm --uploads s3://bkt");
    assert!(said.contains("1 upload removed"), "{said}");
    assert_eq!(uploads(), 0);
    // A download that is killed leaves no file of that name.
    let proxy = Proxy::start(&service.server.host(), |seen| {
        let read = seen.method == "GET" && seen.number > 2;
        if read { Fault::Held } else { Fault::None }
    });
    let bench = service.through(&proxy.host);
    let arguments = ["s3", "cp", "s3://bkt/p/large", "large", "--part-size", "5MiB"];
    let child = bench.command(&arguments).spawn().unwrap();
    proxy.wait_for_held(1);
    kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
    wait(child);
    assert!(!bench.path("large").exists());
    drop(proxy);
}
