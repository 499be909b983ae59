//! The script of docs/formats, which needs nothing of ours, on pieces that we wrote.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use storage_array::{Erasure, Mirror};
use storage_core::{PutIf, StorageProvider};
use storage_wrappers::ManualEnv;

use crate::rig::{Place, body, key, members, places};

#[test]
fn sixty_lines_of_python_restore_what_is_left() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/formats/restore.py");
    let lines = std::fs::read_to_string(&script).unwrap().lines().count();
    assert!(lines <= 60, "{lines} lines");
    for (data, total) in [(1, 3), (2, 3), (4, 6), (3, 7)] {
        let env = Arc::new(ManualEnv::new(1));
        let places = places(&env, total);
        let sizes = [0, 1, 7, 1000, 200_003];
        env.block_on(async {
            let array: Arc<dyn StorageProvider> = match data {
                1 => Arc::new(Mirror::new(members(&places), None, env.clone()).unwrap()),
                _ => Arc::new(
                    Erasure::new(data, total - data, members(&places), None, env.clone()).unwrap(),
                ),
            };
            for size in sizes {
                let name = key(&format!("k/{size}"));
                array.put(&name, body(size), PutIf::Always).await.unwrap();
                let over = key(&format!("over/{size}"));
                array.put(&over, body(size + 5), PutIf::Always).await.unwrap();
                array.put(&over, body(size), PutIf::Always).await.unwrap();
            }
            array.put(&key("gone"), body(9), PutIf::Always).await.unwrap();
            array.delete(&key("gone")).await.unwrap();
        });
        let folder = tempfile::tempdir().unwrap();
        // As many members are lost as may be.
        let kept = &places[total - data..];
        env.block_on(async {
            for (at, place) in kept.iter().enumerate() {
                save(place, &folder.path().join(format!("m{at}"))).await;
            }
        });
        let out = folder.path().join("out");
        std::fs::create_dir(&out).unwrap();
        let ran = Command::new("python3")
            .arg(&script)
            .arg(&out)
            .args((0..kept.len()).map(|at| folder.path().join(format!("m{at}"))))
            .output()
            .expect("python3 runs");
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        for size in sizes {
            for way in ["k", "over"] {
                let restored = std::fs::read(out.join(format!("{way}+{size}")));
                let restored = restored.unwrap_or_else(|error| panic!("{way}/{size}: {error}"));
                assert_eq!(restored, body(size), "{data} of {total}: {way}/{size}");
            }
        }
        assert!(!out.join("gone").exists());
    }
}

async fn save(place: &Place, folder: &Path) {
    for (key, cell) in place.contents().await {
        let path = folder.join(key.as_str());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, cell).unwrap();
    }
}
