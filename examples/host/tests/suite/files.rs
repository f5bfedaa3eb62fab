//! What becomes of a file → whether it counts as changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::slice::from_ref;
use std::time::Duration;

use example_host::files::FileWatch;
use tokio::time::timeout;

/// Below the look at all files that makes up for lost events: events alone must do.
const PATIENCE: Duration = Duration::from_secs(20);

async fn changed(watch: &mut FileWatch) -> Vec<PathBuf> {
    timeout(PATIENCE, watch.changed()).await.expect("the change is seen")
}

/// A rename, as editors and ConfigMaps change files.
fn replace(file: &Path, text: &str) {
    let new = file.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, file).unwrap();
}

#[tokio::test]
async fn writes_renames_removals_and_arrivals_are_changes() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (folder.path().join("a"), folder.path().join("b"));
    fs::write(&a, "1").unwrap();
    let mut watch = FileWatch::new([a.clone(), b.clone()]);
    fs::write(&a, "2").unwrap();
    assert_eq!(changed(&mut watch).await, from_ref(&a));
    replace(&a, "3");
    assert_eq!(changed(&mut watch).await, from_ref(&a));
    fs::write(&b, "new").unwrap();
    assert_eq!(changed(&mut watch).await, from_ref(&b));
    fs::remove_file(&a).unwrap();
    assert_eq!(changed(&mut watch).await, from_ref(&a));
    fs::write(&a, "4").unwrap();
    assert_eq!(changed(&mut watch).await, from_ref(&a));
}

#[tokio::test]
async fn the_same_content_again_and_neighbours_are_no_change() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (folder.path().join("a"), folder.path().join("b"));
    fs::write(&a, "1").unwrap();
    fs::write(&b, "1").unwrap();
    let mut watch = FileWatch::new([a.clone(), b.clone()]);
    replace(&a, "1");
    fs::write(folder.path().join("c"), "other").unwrap();
    fs::write(&b, "2").unwrap();
    assert_eq!(changed(&mut watch).await, [b], "and not the one with its old content");
}

#[cfg(unix)]
#[tokio::test]
async fn a_config_maps_symlink_swap_is_a_change() {
    use std::os::unix::fs::symlink;

    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for (version, text) in [("..1", "one"), ("..2", "two"), ("..3", "three")] {
        fs::create_dir(path(version)).unwrap();
        fs::write(path(version).join("options.yaml"), text).unwrap();
    }
    symlink("..1", path("..data")).unwrap();
    symlink("..data/options.yaml", path("options.yaml")).unwrap();
    let mut watch = FileWatch::new([path("options.yaml")]);
    for version in ["..2", "..3"] {
        symlink(version, path("..data_tmp")).unwrap();
        fs::rename(path("..data_tmp"), path("..data")).unwrap();
        assert_eq!(changed(&mut watch).await, [path("options.yaml")]);
    }
}
