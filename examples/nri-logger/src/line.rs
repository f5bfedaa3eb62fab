//! An event → a line.

use jiff::Timestamp;
use nri_plugin::api::{Container, PodSandbox};
use serde_json::{Map, Value, json};

/// An event, and what it is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event<'a> {
    pub(crate) name: &'a str,
    pub(crate) pod: Option<&'a PodSandbox>,
    pub(crate) container: Option<&'a Container>,
}

impl Event<'_> {
    /// For people: when, what, of which container of which pod, and what tells it apart.
    pub(crate) fn text(&self, now: Timestamp) -> String {
        let mut whose = String::new();
        let mut facts = Vec::new();
        if let Some(pod) = self.pod {
            whose = format!("{}/{}", pod.namespace, pod.name);
        }
        if let Some(container) = self.container {
            whose = format!("{whose}/{}", container.name);
            facts.push(format!("id={}", short(&container.id)));
            facts.push(format!("state={}", state(container)));
            if container.pid != 0 {
                facts.push(format!("pid={}", container.pid));
            }
            if let Some(linux) = container.linux.as_ref().filter(|linux| !linux.cgroups_path.is_empty()) {
                facts.push(format!("cgroup={}", linux.cgroups_path));
            }
        } else if let Some(pod) = self.pod {
            facts.push(format!("id={}", short(&pod.id)));
            facts.push(format!("uid={}", pod.uid));
        }
        format!("{now:.3} {:<22} {whose} {}", self.name, facts.join(" ")).trim_end().to_owned()
    }

    /// For programs.
    pub(crate) fn json(&self, now: Timestamp) -> String {
        let mut line = Map::new();
        line.insert("time".to_owned(), json!(now.to_string()));
        line.insert("event".to_owned(), json!(self.name));
        if let Some(pod) = self.pod {
            line.insert("pod".to_owned(), self::pod(pod));
        }
        if let Some(container) = self.container {
            line.insert("container".to_owned(), self::container(container));
        }
        Value::Object(line).to_string()
    }
}

fn pod(pod: &PodSandbox) -> Value {
    let linux = pod.linux.clone().unwrap_or_default();
    json!({
        "id": pod.id, "name": pod.name, "namespace": pod.namespace, "uid": pod.uid, "pid": pod.pid, "ips": pod.ips,
        "labels": pod.labels, "annotations": pod.annotations, "runtime_handler": pod.runtime_handler,
        "cgroup_parent": linux.cgroup_parent, "cgroups_path": linux.cgroups_path,
    })
}

fn container(container: &Container) -> Value {
    let linux = container.linux.clone().unwrap_or_default();
    json!({
        "id": container.id, "pod_sandbox_id": container.pod_sandbox_id, "name": container.name,
        "state": state(container), "pid": container.pid, "args": container.args, "labels": container.labels,
        "annotations": container.annotations, "image": container.image.as_ref().map(|image| &image.name),
        "cgroups_path": linux.cgroups_path,
        // Values of variables may be secrets.
        "env": container.env.iter().map(|text| text.split('=').next().unwrap_or_default()).collect::<Vec<_>>(),
        "mounts": container.mounts.iter().map(|mount| &mount.destination).collect::<Vec<_>>(),
    })
}

/// As much of an id as people look at.
fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

fn state(container: &Container) -> String {
    let name = container.state().as_str_name();
    name.strip_prefix("CONTAINER_").unwrap_or(name).to_lowercase()
}

#[cfg(test)]
mod tests {
    use nri_plugin::api::{ContainerState, LinuxContainer};

    use super::*;

    fn some() -> (PodSandbox, Container) {
        let pod = PodSandbox {
            id: "0123456789abcdef".to_owned(),
            name: "web-0".to_owned(),
            namespace: "shop".to_owned(),
            uid: "u-1".to_owned(),
            ..PodSandbox::default()
        };
        let container = Container {
            id: "fedcba9876543210".to_owned(),
            name: "app".to_owned(),
            state: ContainerState::ContainerRunning as i32,
            pid: 42,
            env: vec!["PASSWORD=secret".to_owned()],
            linux: Some(LinuxContainer { cgroups_path: "/a/b".to_owned(), ..LinuxContainer::default() }),
            ..Container::default()
        };
        (pod, container)
    }

    #[test]
    fn people_read_who_and_what() {
        let (pod, container) = some();
        let event = Event { name: "StartContainer", pod: Some(&pod), container: Some(&container) };
        assert_eq!(
            event.text(Timestamp::UNIX_EPOCH),
            "1970-01-01T00:00:00.000Z StartContainer         shop/web-0/app id=fedcba987654 state=running pid=42 \
             cgroup=/a/b"
        );
        let event = Event { name: "RunPodSandbox", pod: Some(&pod), container: None };
        assert_eq!(
            event.text(Timestamp::UNIX_EPOCH),
            "1970-01-01T00:00:00.000Z RunPodSandbox          shop/web-0 id=0123456789ab uid=u-1"
        );
        let event = Event { name: "Lost", pod: None, container: None };
        assert_eq!(event.text(Timestamp::UNIX_EPOCH), "1970-01-01T00:00:00.000Z Lost");
    }

    #[test]
    fn programs_read_fields_and_no_secrets() {
        let (pod, container) = some();
        let line = Event { name: "StartContainer", pod: Some(&pod), container: Some(&container) };
        let line = line.json(Timestamp::UNIX_EPOCH);
        assert!(!line.contains("secret") && !line.contains('\n'), "{line}");
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&line["pod"]["name"], &line["container"]["env"]), (&json!("web-0"), &json!(["PASSWORD"])));
        assert_eq!((&line["container"]["state"], &line["time"]), (&json!("running"), &json!("1970-01-01T00:00:00Z")));
    }
}
