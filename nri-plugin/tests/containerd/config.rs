//! A configuration for containerd in which everything lies below one folder.

use std::path::Path;

use super::image::PAUSE;

/// The configuration's version is containerd's: 2 up to 1.7, 3 from 2.0 on.
pub(crate) fn config(version: &str, folder: &Path, runc: &Path) -> String {
    let (folder, runc) = (folder.display(), runc.display());
    let common = format!(
        r#"
root = "{folder}/root"
state = "{folder}/state"

[grpc]
address = "{folder}/containerd.sock"

[ttrpc]
address = "{folder}/containerd.sock.ttrpc"

[plugins."io.containerd.nri.v1.nri"]
disable = false
socket_path = "{folder}/nri.sock"
plugin_path = "{folder}/nri/plugins"
plugin_config_path = "{folder}/nri/conf.d"

[plugins."io.containerd.internal.v1.opt"]
path = "{folder}/opt"

[plugins."io.containerd.grpc.v1.cri"]
stream_server_address = "127.0.0.1"
stream_server_port = "0"
"#
    );
    // Without `restrict_oom_score_adj` runc fails where CAP_SYS_RESOURCE is missing.
    let own = if version.starts_with("1.") {
        format!(
            r#"
restrict_oom_score_adj = true
sandbox_image = "{PAUSE}"

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{folder}/cni/bin"
conf_dir = "{folder}/cni/conf.d"

[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "native"
default_runtime_name = "runc"
"#
        )
    } else {
        format!(
            r#"
[plugins."io.containerd.image-verifier.v1.bindir"]
bin_dir = "{folder}/verifiers"

[plugins."io.containerd.cri.v1.images"]
snapshotter = "native"

[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "{PAUSE}"

[plugins."io.containerd.cri.v1.runtime"]
restrict_oom_score_adj = true

[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["{folder}/cni/bin"]
conf_dir = "{folder}/cni/conf.d"

[plugins."io.containerd.cri.v1.runtime".containerd]
default_runtime_name = "runc"
"#
        )
    };
    let (number, cri) =
        if version.starts_with("1.") { (2, "io.containerd.grpc.v1.cri") } else { (3, "io.containerd.cri.v1.runtime") };
    let runtime = format!(
        r#"
[plugins."{cri}".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."{cri}".containerd.runtimes.runc.options]
BinaryName = "{runc}"
Root = "{folder}/runc"
SystemdCgroup = false
"#
    );
    format!("version = {number}\n{common}{own}{runtime}")
}
