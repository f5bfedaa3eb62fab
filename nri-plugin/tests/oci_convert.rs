//! Types of OCI → messages → types of OCI, and the other way round.
#![cfg(feature = "oci-spec")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::ffi::OsStr;
use std::fmt::Debug;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use nri_plugin::adjust::{Namespace, Rlimit, SeccompAction, SeccompOperator};
use nri_plugin::api;
use nri_plugin::oci::{ConversionError, LeftOut, env_from_oci, env_to_oci};
use oci_spec::runtime as oci;
use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

/// A value of OCI, as JSON, whose optional fields are there or not.
type Json = BoxedStrategy<Value>;

fn object(required: &[(&'static str, Json)], optional: &[(&'static str, Json)]) -> Json {
    let required = required.iter().map(|(name, value)| (*name, value.clone().prop_map(Some).boxed()));
    let optional = optional.iter().map(|(name, value)| (*name, of(value.clone()).boxed()));
    let (names, values): (Vec<_>, Vec<_>) = required.chain(optional).unzip();
    let object = move |values: Vec<Option<Value>>| {
        let fields = names.iter().zip(values).filter_map(|(name, value)| Some(((*name).to_owned(), value?)));
        Value::Object(fields.collect::<Map<_, _>>())
    };
    values.prop_map(object).boxed()
}

fn i64s() -> Json {
    any::<i64>().prop_map(Value::from).boxed()
}

fn u64s() -> Json {
    any::<u64>().prop_map(Value::from).boxed()
}

fn u32s() -> Json {
    any::<u32>().prop_map(Value::from).boxed()
}

fn bools() -> Json {
    any::<bool>().prop_map(Value::from).boxed()
}

/// Texts are not empty, nor are lists: an empty one comes back as an absent one.
fn texts() -> Json {
    "[a-z=-]{1,4}".prop_map(Value::from).boxed()
}

fn paths() -> Json {
    "/[a-z]{1,4}".prop_map(Value::from).boxed()
}

fn lists(of: Json) -> Json {
    vec(of, 1..3).prop_map(Value::from).boxed()
}

fn maps(of: Json) -> Json {
    btree_map("[a-z.]{1,4}", of, 1..3).prop_map(|map| Value::Object(map.into_iter().collect())).boxed()
}

fn one_of<T: serde::Serialize>(values: &[T]) -> Json {
    select(values.iter().map(|value| serde_json::to_value(value).unwrap()).collect::<Vec<_>>()).boxed()
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Array(values) => values.into_iter().map(without_nulls).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name, without_nulls(value)))
            .collect::<Map<_, _>>()
            .into(),
        value => value,
    }
}

fn there_and_back<Oci, Nri>(json: Value) -> Result<(), TestCaseError>
where
    Oci: for<'a> TryFrom<&'a Nri, Error: Debug> + serde::de::DeserializeOwned + serde::Serialize + PartialEq + Debug,
    Nri: for<'a> TryFrom<&'a Oci, Error: Debug>,
{
    let oci: Oci = serde_json::from_value(json.clone()).unwrap();
    prop_assert_eq!(without_nulls(serde_json::to_value(&oci).unwrap()), json, "a name of a field is none of OCI's");
    let nri = Nri::try_from(&oci).unwrap();
    prop_assert_eq!(Oci::try_from(&nri).unwrap(), oci);
    Ok(())
}

fn hooks() -> Json {
    let hook = object(&[("path", paths())], &[("args", lists(texts())), ("env", lists(texts())), ("timeout", i64s())]);
    let points = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];
    object(&[], &points.map(|point| (point, lists(hook.clone()))))
}

fn device_rule() -> Json {
    let kind = one_of(&["a", "b", "c", "u", "p"]);
    let optional = [("type", kind), ("major", i64s()), ("minor", i64s()), ("access", texts())];
    object(&[("allow", bools())], &optional)
}

fn resources() -> Json {
    let memory = object(
        &[],
        &[
            ("limit", i64s()),
            ("reservation", i64s()),
            ("swap", i64s()),
            ("kernel", i64s()),
            ("kernelTCP", i64s()),
            ("swappiness", u64s()),
            ("disableOOMKiller", bools()),
            ("useHierarchy", bools()),
        ],
    );
    let cpu = object(
        &[],
        &[
            ("shares", u64s()),
            ("quota", i64s()),
            ("period", u64s()),
            ("realtimeRuntime", i64s()),
            ("realtimePeriod", u64s()),
            ("cpus", texts()),
            ("mems", texts()),
        ],
    );
    let limit = (0..=i64::MAX).prop_map(Value::from).boxed();
    let hugepages = object(&[("pageSize", texts()), ("limit", limit)], &[]);
    object(
        &[],
        &[
            ("memory", memory),
            ("cpu", cpu),
            ("pids", object(&[("limit", i64s())], &[])),
            ("hugepageLimits", lists(hugepages)),
            ("unified", maps(texts())),
            ("devices", lists(device_rule())),
        ],
    )
}

fn seccomp() -> Json {
    let action = one_of(&SeccompAction::ALL.iter().map(|action| action.as_str()).collect::<Vec<_>>());
    let operator = one_of(&SeccompOperator::ALL.iter().map(|operator| operator.as_str()).collect::<Vec<_>>());
    let second = (1..=u64::MAX).prop_map(Value::from).boxed();
    let argument = object(&[("index", u32s()), ("value", u64s()), ("op", operator)], &[("valueTwo", second)]);
    let rule = object(
        &[("names", lists(texts())), ("action", action.clone())],
        &[("errnoRet", u32s()), ("args", lists(argument))],
    );
    let architectures = one_of(
        &[
            "NATIVE",
            "X86",
            "X86_64",
            "X32",
            "ARM",
            "AARCH64",
            "MIPS",
            "MIPS64",
            "MIPS64N32",
            "MIPSEL",
            "MIPSEL64",
            "MIPSEL64N32",
            "PPC",
            "PPC64",
            "PPC64LE",
            "S390",
            "S390X",
            "PARISC",
            "PARISC64",
            "RISCV64",
            "LOONGARCH64",
            "M68K",
            "SH",
            "SHEB",
        ]
        .map(|name| format!("SCMP_ARCH_{name}")),
    );
    let flags =
        one_of(&["LOG", "TSYNC", "SPEC_ALLOW", "WAIT_KILLABLE_RECV"].map(|name| format!("SECCOMP_FILTER_FLAG_{name}")));
    object(
        &[("defaultAction", action)],
        &[
            ("defaultErrnoRet", u32s()),
            ("architectures", lists(architectures)),
            ("flags", lists(flags)),
            ("listenerPath", paths()),
            ("listenerMetadata", texts()),
            ("syscalls", lists(rule)),
        ],
    )
}

/// Zeros come back as absent ones.
fn scheduler() -> Json {
    use oci::{LinuxSchedulerFlag as Flag, LinuxSchedulerPolicy as Policy};

    let policies = [
        Policy::SchedOther,
        Policy::SchedFifo,
        Policy::SchedRr,
        Policy::SchedBatch,
        Policy::SchedIso,
        Policy::SchedIdle,
        Policy::SchedDeadline,
    ];
    let flags = [
        Flag::SchedResetOnFork,
        Flag::SchedFlagReclaim,
        Flag::SchedFlagDLOverrun,
        Flag::SchedFlagKeepPolicy,
        Flag::SchedFlagKeepParams,
        Flag::SchedFlagUtilClampMin,
        Flag::SchedFlagUtilClampMax,
    ];
    let number = || (1..=i32::MAX).prop_map(Value::from).boxed();
    let time = || (1..=u64::MAX).prop_map(Value::from).boxed();
    object(
        &[("policy", one_of(&policies))],
        &[
            ("nice", number()),
            ("priority", number()),
            ("flags", lists(one_of(&flags))),
            ("runtime", time()),
            ("deadline", time()),
            ("period", time()),
        ],
    )
}

fn memory_policy() -> Json {
    let modes = ["DEFAULT", "PREFERRED", "BIND", "INTERLEAVE", "LOCAL", "PREFERRED_MANY", "WEIGHTED_INTERLEAVE"];
    let flags = ["STATIC_NODES", "RELATIVE_NODES", "NUMA_BALANCING"];
    object(
        &[("mode", one_of(&modes.map(|name| format!("MPOL_{name}"))))],
        &[("nodes", texts()), ("flags", lists(one_of(&flags.map(|name| format!("MPOL_F_{name}")))))],
    )
}

fn device() -> Json {
    object(
        &[("path", paths()), ("type", one_of(&["a", "b", "c", "u", "p"])), ("major", i64s()), ("minor", i64s())],
        &[("fileMode", u32s()), ("uid", u32s()), ("gid", u32s())],
    )
}

fn mount() -> Json {
    let optional = [("type", texts()), ("source", paths()), ("options", lists(texts()))];
    object(&[("destination", paths())], &optional)
}

fn rdt() -> Json {
    let optional = [("closID", texts()), ("schemata", lists(texts())), ("enableMonitoring", bools())];
    object(&[], &optional)
}

fn user() -> Json {
    object(&[("uid", u32s()), ("gid", u32s())], &[("additionalGids", lists(u32s()))])
}

fn rlimit() -> Json {
    let kinds = one_of(&Rlimit::ALL.iter().map(|kind| kind.as_str()).collect::<Vec<_>>());
    object(&[("type", kinds), ("hard", u64s()), ("soft", u64s())], &[])
}

fn namespace() -> Json {
    let kinds = one_of(&Namespace::ALL.iter().map(|kind| kind.as_str()).collect::<Vec<_>>());
    object(&[("type", kinds)], &[("path", paths())])
}

fn io_priority() -> Json {
    let classes = ["RT", "BE", "IDLE"].map(|class| format!("IOPRIO_CLASS_{class}"));
    let priority = any::<i32>().prop_map(Value::from).boxed();
    object(&[("class", one_of(&classes)), ("priority", priority)], &[])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn processes_come_back(mount in mount(), hooks in hooks(), user in user(), rlimit in rlimit()) {
        there_and_back::<oci::Mount, api::Mount>(mount)?;
        there_and_back::<oci::Hooks, api::Hooks>(hooks)?;
        there_and_back::<oci::User, api::User>(user)?;
        there_and_back::<oci::PosixRlimit, api::PosixRlimit>(rlimit)?;
    }

    #[test]
    fn devices_and_namespaces_come_back(
        device in device(),
        rule in device_rule(),
        namespace in namespace(),
        net_device in object(&[], &[("name", texts())]),
    ) {
        there_and_back::<oci::LinuxDevice, api::LinuxDevice>(device)?;
        there_and_back::<oci::LinuxDeviceCgroup, api::LinuxDeviceCgroup>(rule)?;
        there_and_back::<oci::LinuxNamespace, api::LinuxNamespace>(namespace)?;
        there_and_back::<oci::LinuxNetDevice, api::LinuxNetDevice>(net_device)?;
    }

    #[test]
    fn resources_come_back(resources in resources(), rdt in rdt()) {
        there_and_back::<oci::LinuxResources, api::LinuxResources>(resources)?;
        there_and_back::<oci::LinuxIntelRdt, api::LinuxRdt>(rdt)?;
    }

    #[test]
    fn seccomp_policies_come_back(policy in seccomp()) {
        there_and_back::<oci::LinuxSeccomp, api::LinuxSeccomp>(policy)?;
    }

    #[test]
    fn schedules_come_back(scheduler in scheduler(), policy in memory_policy(), priority in io_priority()) {
        there_and_back::<oci::Scheduler, api::LinuxScheduler>(scheduler)?;
        there_and_back::<oci::LinuxMemoryPolicy, api::LinuxMemoryPolicy>(policy)?;
        there_and_back::<oci::LinuxIOPriority, api::LinuxIoPriority>(priority)?;
    }

    #[test]
    fn environments_come_back(env in vec("[A-Z]{0,2}=[a-z=]{0,3}", 0..4)) {
        prop_assert_eq!(env_to_oci(&env_from_oci(&env)).unwrap(), env);
    }
}

fn back<Nri, Oci>(nri: &Nri) -> Result<(), TestCaseError>
where
    Nri: for<'a> TryFrom<&'a Oci, Error: Debug> + PartialEq + Debug,
    Oci: for<'a> TryFrom<&'a Nri, Error: Debug>,
{
    prop_assert_eq!(&Nri::try_from(&Oci::try_from(nri).unwrap()).unwrap(), nri);
    Ok(())
}

fn word() -> impl Strategy<Value = String> {
    "[a-z0-9]{0,3}"
}

fn words() -> impl Strategy<Value = Vec<String>> {
    vec(word(), 0..3)
}

fn name_of<T: Copy + Debug + ToString + 'static>(kinds: &'static [T]) -> impl Strategy<Value = String> {
    select(kinds).prop_map(|kind| kind.to_string())
}

// No field of a message is left to its default: one that the schema gets has to be converted.

fn nri_mount() -> impl Strategy<Value = api::Mount> {
    (word(), word(), word(), words()).prop_map(|(destination, r#type, source, options)| api::Mount {
        destination,
        r#type,
        source,
        options,
    })
}

fn nri_hook() -> impl Strategy<Value = api::Hook> {
    (word(), words(), words(), of(any::<i64>())).prop_map(|(path, args, env, timeout)| api::Hook {
        path,
        args,
        env,
        timeout: timeout.map(Into::into),
    })
}

fn nri_hooks() -> impl Strategy<Value = api::Hooks> {
    let hooks = || vec(nri_hook(), 0..3);
    (hooks(), hooks(), hooks(), hooks(), hooks(), hooks()).prop_map(|hooks| api::Hooks {
        prestart: hooks.0,
        create_runtime: hooks.1,
        create_container: hooks.2,
        start_container: hooks.3,
        poststart: hooks.4,
        poststop: hooks.5,
    })
}

fn nri_user() -> impl Strategy<Value = api::User> {
    (any::<u32>(), any::<u32>(), vec(any::<u32>(), 0..3)).prop_map(|(uid, gid, additional_gids)| api::User {
        uid,
        gid,
        additional_gids,
    })
}

fn nri_rlimit() -> impl Strategy<Value = api::PosixRlimit> {
    (name_of(Rlimit::ALL), any::<u64>(), any::<u64>()).prop_map(|(r#type, hard, soft)| api::PosixRlimit {
        r#type,
        hard,
        soft,
    })
}

fn nri_device() -> impl Strategy<Value = api::LinuxDevice> {
    let numbers = || of(any::<u32>());
    (word(), select(vec!["a", "b", "c", "u", "p"]), any::<i64>(), any::<i64>(), numbers(), numbers(), numbers())
        .prop_map(|(path, r#type, major, minor, file_mode, uid, gid)| api::LinuxDevice {
            path,
            r#type: r#type.to_owned(),
            major,
            minor,
            file_mode: file_mode.map(Into::into),
            uid: uid.map(Into::into),
            gid: gid.map(Into::into),
        })
}

fn nri_rule() -> impl Strategy<Value = api::LinuxDeviceCgroup> {
    let kinds = select(vec!["", "a", "b", "c"]);
    (any::<bool>(), kinds, of(any::<i64>()), of(any::<i64>()), word()).prop_map(
        |(allow, r#type, major, minor, access)| api::LinuxDeviceCgroup {
            allow,
            r#type: r#type.to_owned(),
            major: major.map(Into::into),
            minor: minor.map(Into::into),
            access,
        },
    )
}

fn nri_namespace() -> impl Strategy<Value = api::LinuxNamespace> {
    (name_of(Namespace::ALL), word()).prop_map(|(r#type, path)| api::LinuxNamespace { r#type, path })
}

fn nri_memory() -> impl Strategy<Value = api::LinuxMemory> {
    let bytes = || of(any::<i64>());
    let flag = || of(any::<bool>());
    (bytes(), bytes(), bytes(), bytes(), bytes(), of(any::<u64>()), flag(), flag()).prop_map(|memory| {
        api::LinuxMemory {
            limit: memory.0.map(Into::into),
            reservation: memory.1.map(Into::into),
            swap: memory.2.map(Into::into),
            kernel: memory.3.map(Into::into),
            kernel_tcp: memory.4.map(Into::into),
            swappiness: memory.5.map(Into::into),
            disable_oom_killer: memory.6.map(Into::into),
            use_hierarchy: memory.7.map(Into::into),
        }
    })
}

fn nri_cpu() -> impl Strategy<Value = api::LinuxCpu> {
    let unsigned = || of(any::<u64>());
    let signed = || of(any::<i64>());
    (unsigned(), signed(), unsigned(), signed(), unsigned(), word(), word()).prop_map(|cpu| api::LinuxCpu {
        shares: cpu.0.map(Into::into),
        quota: cpu.1.map(Into::into),
        period: cpu.2.map(Into::into),
        realtime_runtime: cpu.3.map(Into::into),
        realtime_period: cpu.4.map(Into::into),
        cpus: cpu.5,
        mems: cpu.6,
    })
}

fn nri_resources() -> impl Strategy<Value = api::LinuxResources> {
    let limit = (word(), 0..=u64::try_from(i64::MAX).unwrap())
        .prop_map(|(page_size, limit)| api::HugepageLimit { page_size, limit });
    let pids = any::<i64>().prop_map(|limit| api::LinuxPids { limit });
    let unified = btree_map(word(), word(), 0..3);
    (of(nri_memory()), of(nri_cpu()), vec(limit, 0..3), unified, vec(nri_rule(), 0..3), of(pids)).prop_map(
        |(memory, cpu, hugepage_limits, unified, devices, pids)| api::LinuxResources {
            memory,
            cpu,
            hugepage_limits,
            // Classes have no equal in OCI.
            blockio_class: None,
            rdt_class: None,
            unified,
            devices,
            pids,
        },
    )
}

fn nri_seccomp() -> impl Strategy<Value = api::LinuxSeccomp> {
    let argument = (any::<u32>(), any::<u64>(), any::<u64>(), name_of(SeccompOperator::ALL))
        .prop_map(|(index, value, value_two, op)| api::LinuxSeccompArg { index, value, value_two, op });
    let errno = || of(any::<u32>());
    let rule = (words(), name_of(SeccompAction::ALL), errno(), vec(argument, 0..3)).prop_map(
        |(names, action, errno_ret, args)| api::LinuxSyscall {
            names,
            action,
            errno_ret: errno_ret.map(Into::into),
            args,
        },
    );
    let architectures = vec(select(vec!["SCMP_ARCH_X86_64", "SCMP_ARCH_MIPS64N32"]), 0..3);
    let flags = vec(select(vec!["SECCOMP_FILTER_FLAG_TSYNC"]), 0..2);
    let texts = |texts: Vec<&str>| texts.into_iter().map(str::to_owned).collect();
    (name_of(SeccompAction::ALL), errno(), architectures, flags, word(), word(), vec(rule, 0..3)).prop_map(
        move |policy| api::LinuxSeccomp {
            default_action: policy.0,
            default_errno: policy.1.map(Into::into),
            architectures: texts(policy.2),
            flags: texts(policy.3),
            listener_path: policy.4,
            listener_metadata: policy.5,
            syscalls: policy.6,
        },
    )
}

fn nri_scheduler() -> impl Strategy<Value = api::LinuxScheduler> {
    let time = any::<u64>;
    (1..=7, any::<i32>(), any::<i32>(), vec(0..=6, 0..3), time(), time(), time()).prop_map(|scheduler| {
        api::LinuxScheduler {
            policy: scheduler.0,
            nice: scheduler.1,
            priority: scheduler.2,
            flags: scheduler.3,
            runtime: scheduler.4,
            deadline: scheduler.5,
            period: scheduler.6,
        }
    })
}

fn nri_rdt() -> impl Strategy<Value = api::LinuxRdt> {
    (of(word()), of(words()), of(any::<bool>())).prop_map(|(clos_id, schemata, enable_monitoring)| api::LinuxRdt {
        clos_id: clos_id.map(Into::into),
        schemata: schemata.map(Into::into),
        enable_monitoring: enable_monitoring.map(Into::into),
        // Has no equal in OCI.
        remove: false,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn messages_of_processes_come_back(
        mount in nri_mount(),
        hooks in nri_hooks(),
        user in nri_user(),
        rlimit in nri_rlimit(),
        (class, priority) in (1..=3, any::<i32>()),
        scheduler in nri_scheduler(),
    ) {
        back::<_, oci::Mount>(&mount)?;
        back::<_, oci::Hooks>(&hooks)?;
        back::<_, oci::User>(&user)?;
        back::<_, oci::PosixRlimit>(&rlimit)?;
        back::<_, oci::LinuxIOPriority>(&api::LinuxIoPriority { class, priority })?;
        back::<_, oci::Scheduler>(&scheduler)?;
    }

    #[test]
    fn messages_of_linux_come_back(
        device in nri_device(),
        namespace in nri_namespace(),
        name in word(),
        policy in nri_seccomp(),
        (mode, nodes, flags) in (0..=6, word(), vec(0..=2, 0..3)),
    ) {
        back::<_, oci::LinuxDevice>(&device)?;
        back::<_, oci::LinuxNamespace>(&namespace)?;
        back::<_, oci::LinuxNetDevice>(&api::LinuxNetDevice { name })?;
        back::<_, oci::LinuxSeccomp>(&policy)?;
        back::<_, oci::LinuxMemoryPolicy>(&api::LinuxMemoryPolicy { mode, nodes, flags })?;
    }

    #[test]
    fn messages_of_resources_come_back(resources in nri_resources(), rdt in nri_rdt()) {
        back::<_, oci::LinuxResources>(&resources)?;
        back::<_, oci::LinuxIntelRdt>(&rdt)?;
    }
}

#[test]
fn an_environment_is_parted_at_the_first_equals_sign() {
    let pairs = [("A", "b=c"), ("B", ""), ("C", "")]
        .map(|(key, value)| api::KeyValue { key: key.to_owned(), value: value.to_owned() });
    assert_eq!(env_from_oci(&["A=b=c", "B=", "C"]), pairs);
}

/// The names of the fields of a type, whose default has no nested ones.
fn fields(default: &impl Debug) -> Vec<String> {
    let text = format!("{default:?}");
    text.split([' ', '{']).filter_map(|word| word.strip_suffix(':')).map(str::to_owned).collect()
}

/// Breaks if a new version of `oci-spec` has a field that is neither converted nor said to be left out.
#[test]
fn each_field_of_oci_is_known() {
    let known: &[(Vec<String>, &[&str])] = &[
        (fields(&oci::Mount::default()), &["destination", "typ", "source", "options", "uid_mappings", "gid_mappings"]),
        (fields(&oci::Hook::default()), &["path", "args", "env", "timeout"]),
        (
            fields(&oci::Hooks::default()),
            &["prestart", "create_runtime", "create_container", "start_container", "poststart", "poststop"],
        ),
        (fields(&oci::User::default()), &["uid", "gid", "umask", "additional_gids", "username"]),
        (fields(&oci::PosixRlimit::default()), &["typ", "hard", "soft"]),
        (fields(&oci::LinuxDevice::default()), &["path", "typ", "major", "minor", "file_mode", "uid", "gid"]),
        (fields(&oci::LinuxDeviceCgroup::default()), &["allow", "typ", "major", "minor", "access"]),
        (fields(&oci::LinuxNamespace::default()), &["typ", "path"]),
        (fields(&oci::LinuxNetDevice::default()), &["name"]),
        (
            fields(&oci::LinuxMemory::default()),
            &[
                "limit",
                "reservation",
                "swap",
                "kernel",
                "kernel_tcp",
                "swappiness",
                "disable_oom_killer",
                "use_hierarchy",
                "check_before_update",
            ],
        ),
        (
            fields(&oci::LinuxCpu::default()),
            &["shares", "quota", "idle", "burst", "period", "realtime_runtime", "realtime_period", "cpus", "mems"],
        ),
        (fields(&oci::LinuxPids::default()), &["limit"]),
        (fields(&oci::LinuxHugepageLimit::default()), &["page_size", "limit"]),
        (
            fields(&oci::LinuxResources::default()),
            &["devices", "memory", "cpu", "pids", "block_io", "hugepage_limits", "network", "rdma", "unified"],
        ),
        (
            fields(&oci::LinuxIntelRdt::default()),
            &[
                "clos_id",
                "schemata",
                "l3_cache_schema",
                "mem_bw_schema",
                "enable_cmt",
                "enable_mbm",
                "enable_monitoring",
            ],
        ),
        (
            fields(&oci::LinuxSeccomp::default()),
            &[
                "default_action",
                "default_errno_ret",
                "architectures",
                "flags",
                "listener_path",
                "listener_metadata",
                "syscalls",
            ],
        ),
        (fields(&oci::LinuxSyscall::default()), &["names", "action", "errno_ret", "args"]),
        (fields(&oci::LinuxSeccompArg::default()), &["index", "value", "value_two", "op"]),
        (fields(&oci::LinuxIOPriority::default()), &["class", "priority"]),
        (fields(&oci::Scheduler::default()), &["policy", "nice", "priority", "flags", "runtime", "deadline", "period"]),
        (fields(&oci::LinuxMemoryPolicy::default()), &["mode", "nodes", "flags"]),
    ];
    for (fields, known) in known {
        assert_eq!(fields, known);
    }
}

fn left_out<Oci, Nri>(json: &Value) -> (Vec<&'static str>, Value)
where
    Oci: for<'a> TryFrom<&'a Nri, Error: Debug> + serde::de::DeserializeOwned + serde::Serialize + LeftOut,
    Nri: for<'a> TryFrom<&'a Oci, Error: Debug>,
{
    let oci: Oci = serde_json::from_value(json.clone()).unwrap();
    let back = Oci::try_from(&Nri::try_from(&oci).unwrap()).unwrap();
    assert!(back.left_out().is_empty());
    (oci.left_out(), serde_json::to_value(back).unwrap())
}

#[test]
fn what_is_left_out_is_named_and_nothing_else_is() {
    let map = json!([{"containerID": 0, "hostID": 1, "size": 2}]);
    let mount = json!({"destination": "/a", "uidMappings": map, "gidMappings": map});
    let converted = left_out::<oci::Mount, api::Mount>(&mount);
    assert_eq!(converted, (vec!["uidMappings", "gidMappings"], json!({"destination": "/a"})));

    let user = json!({"uid": 1, "gid": 2, "umask": 18, "username": "a"});
    let converted = left_out::<oci::User, api::User>(&user);
    assert_eq!(converted, (vec!["umask", "username"], json!({"uid": 1, "gid": 2})));

    let resources = json!({
        "memory": {"limit": 1, "checkBeforeUpdate": true},
        "cpu": {"shares": 2, "idle": 1, "burst": 3},
        "pids": {"limit": 4},
        "blockIO": {"weight": 10},
        "network": {"classID": 1},
        "rdma": {"mlx5_1": {"hcaHandles": 3}},
    });
    let names = vec!["memory.checkBeforeUpdate", "cpu.idle", "cpu.burst", "blockIO", "network", "rdma"];
    let kept = json!({"memory": {"limit": 1}, "cpu": {"shares": 2}, "pids": {"limit": 4}});
    assert_eq!(left_out::<oci::LinuxResources, api::LinuxResources>(&resources), (names, kept));
    let memory: oci::LinuxMemory = serde_json::from_value(resources["memory"].clone()).unwrap();
    let cpu: oci::LinuxCpu = serde_json::from_value(resources["cpu"].clone()).unwrap();
    assert_eq!((memory.left_out(), cpu.left_out()), (vec!["checkBeforeUpdate"], vec!["idle", "burst"]));

    let rdt = json!({
        "closID": "a",
        "l3CacheSchema": "L3:0=f",
        "memBwSchema": "MB:0=20",
        "enableCmt": true,
        "enableMbm": true,
    });
    let names = vec!["l3CacheSchema", "memBwSchema", "enableCMT", "enableMBM"];
    assert_eq!(left_out::<oci::LinuxIntelRdt, api::LinuxRdt>(&rdt), (names, json!({"closID": "a"})));

    let classes = api::LinuxResources {
        blockio_class: Some("a".into()),
        rdt_class: Some("b".into()),
        ..api::LinuxResources::default()
    };
    assert_eq!(classes.left_out(), ["blockio_class", "rdt_class"]);
    assert_eq!(oci::LinuxResources::try_from(&classes).unwrap(), oci::LinuxResources::default());
    assert_eq!(api::LinuxRdt { remove: true, ..api::LinuxRdt::default() }.left_out(), ["remove"]);
    assert!(api::LinuxRdt::default().left_out().is_empty());
}

fn unknown<Oci: for<'a> TryFrom<&'a Nri, Error = ConversionError> + Debug, Nri>(nri: &Nri) -> String {
    Oci::try_from(nri).unwrap_err().to_string()
}

#[test]
fn what_has_no_equal_is_an_error_that_names_field_and_value() {
    let text = |text: &str| text.to_owned();
    let errors = [
        unknown::<oci::LinuxNamespace, _>(&api::LinuxNamespace { r#type: text("net"), path: text("") }),
        unknown::<oci::PosixRlimit, _>(&api::PosixRlimit { r#type: text("RLIMIT_X"), hard: 0, soft: 0 }),
        unknown::<oci::LinuxDevice, _>(&api::LinuxDevice { r#type: text("x"), ..api::LinuxDevice::default() }),
        unknown::<oci::LinuxDeviceCgroup, _>(&api::LinuxDeviceCgroup {
            r#type: text("y"),
            ..api::LinuxDeviceCgroup::default()
        }),
        unknown::<oci::LinuxSeccomp, _>(&api::LinuxSeccomp::default()),
        unknown::<oci::LinuxSeccomp, _>(&api::LinuxSeccomp::new(SeccompAction::Log).with_flags(["f"])),
        unknown::<oci::LinuxSeccomp, _>(&api::LinuxSeccomp::new(SeccompAction::Log).with_architectures(["a"])),
        unknown::<oci::LinuxSeccompArg, _>(&api::LinuxSeccompArg { op: text("<"), ..api::LinuxSeccompArg::default() }),
        unknown::<oci::LinuxIOPriority, _>(&api::LinuxIoPriority { class: 9, priority: 0 }),
        unknown::<oci::LinuxIOPriority, _>(&api::LinuxIoPriority::default()),
        unknown::<oci::Scheduler, _>(&api::LinuxScheduler { policy: 8, ..api::LinuxScheduler::default() }),
        unknown::<oci::Scheduler, _>(&api::LinuxScheduler { flags: vec![7], ..api::LinuxScheduler::idle() }),
        unknown::<oci::Scheduler, _>(&api::LinuxScheduler::default()),
        unknown::<oci::LinuxMemoryPolicy, _>(&api::LinuxMemoryPolicy { mode: 7, ..api::LinuxMemoryPolicy::default() }),
        unknown::<oci::LinuxMemoryPolicy, _>(&api::LinuxMemoryPolicy {
            flags: vec![3],
            ..api::LinuxMemoryPolicy::default()
        }),
        unknown::<oci::LinuxHugepageLimit, _>(&api::HugepageLimit { page_size: text("2MB"), limit: u64::MAX }),
        unknown::<oci::Mount, _>(&api::Mount { destination: text("-/a"), ..api::Mount::default() }),
        unknown::<oci::LinuxDevice, _>(&api::LinuxDevice { path: text("-/b"), ..api::LinuxDevice::default() }),
        unknown::<oci::LinuxNamespace, _>(&api::LinuxNamespace { r#type: text("-pid"), path: text("") }),
        env_to_oci(&[api::KeyValue { key: text("-A"), value: text("") }]).unwrap_err().to_string(),
        env_to_oci(&[api::KeyValue { key: text("A=B"), value: text("") }]).unwrap_err().to_string(),
    ];
    let begin = [
        "a namespace can't be \"net\" in OCI",
        "a resource limit can't be \"RLIMIT_X\" in OCI",
        "the type of a device can't be \"x\" in OCI",
        "the type of a device rule can't be \"y\" in OCI",
        "a seccomp action can't be \"\" in OCI",
        "a seccomp flag can't be \"f\" in OCI",
        "a seccomp architecture can't be \"a\" in OCI",
        "a seccomp operator can't be \"<\" in OCI",
        "the class of the priority for input and output can't be \"9\" in OCI",
        "the class of the priority for input and output IOPRIO_CLASS_NONE stands for none",
        "the scheduling policy can't be \"8\" in OCI",
        "a scheduling flag can't be \"7\" in OCI",
        "the scheduling policy SCHED_NONE stands for none",
        "the mode of a memory policy can't be \"7\" in OCI",
        "a flag of a memory policy can't be \"3\" in OCI",
        "a limit of huge pages can't be 18446744073709551615 on the other side",
        "the mount \"-/a\" is a removal",
        "the device \"-/b\" is a removal",
        "the namespace \"-pid\" is a removal",
        "the environment variable \"-A\" is a removal",
        "the name of an environment variable can't be \"A=B\" in OCI",
    ];
    for (error, begin) in errors.iter().zip(begin) {
        assert!(error.starts_with(begin), "{error:?} instead of {begin:?}");
    }
    assert_eq!(errors.len(), begin.len());
}

#[test]
fn what_a_message_does_not_hold_is_an_error_that_names_field_and_value() {
    let bad = PathBuf::from(OsStr::from_bytes(b"/\xff"));
    let not_utf8 = |error: ConversionError| match error {
        ConversionError::NotUtf8 { field, path } if path == bad => field,
        error => panic!("{error:?}"),
    };
    let destination = oci::MountBuilder::default().destination(bad.clone()).build().unwrap();
    let source = oci::MountBuilder::default().source(bad.clone()).build().unwrap();
    let hook = oci::HookBuilder::default().path(bad.clone()).build().unwrap();
    let hooks = oci::HooksBuilder::default().poststop(vec![hook]).build().unwrap();
    let device = oci::LinuxDeviceBuilder::default().path(bad.clone()).build().unwrap();
    let namespace = oci::LinuxNamespaceBuilder::default().path(bad.clone()).build().unwrap();
    let seccomp = oci::LinuxSeccompBuilder::default().listener_path(bad.clone()).build().unwrap();
    let fields = [
        api::Mount::try_from(&destination).map_err(not_utf8).unwrap_err(),
        api::Mount::try_from(&source).map_err(not_utf8).unwrap_err(),
        api::Hooks::try_from(&hooks).map_err(not_utf8).unwrap_err(),
        api::LinuxDevice::try_from(&device).map_err(not_utf8).unwrap_err(),
        api::LinuxNamespace::try_from(&namespace).map_err(not_utf8).unwrap_err(),
        api::LinuxSeccomp::try_from(&seccomp).map_err(not_utf8).unwrap_err(),
    ];
    let expected = [
        "the destination of a mount",
        "the source of a mount",
        "the path of a hook",
        "the path of a device",
        "the path of a namespace",
        "the seccomp listener",
    ];
    assert_eq!(fields, expected);

    let limit = oci::LinuxHugepageLimitBuilder::default().limit(-1).build().unwrap();
    let error = api::HugepageLimit::try_from(&limit).unwrap_err().to_string();
    assert!(error.starts_with("a limit of huge pages can't be -1 on the other side"), "{error}");
    let priority = oci::LinuxIOPriorityBuilder::default().priority(1_i64 << 40).build().unwrap();
    let error = api::LinuxIoPriority::try_from(&priority).unwrap_err();
    assert!(matches!(error, ConversionError::OutOfRange { value: 0x100_0000_0000, .. }), "{error}");
    let argument = oci::LinuxSeccompArgBuilder::default().index(1_usize << 40).build().unwrap();
    let error = api::LinuxSeccompArg::try_from(&argument).unwrap_err();
    assert!(matches!(error, ConversionError::OutOfRange { value: 0x100_0000_0000, .. }), "{error}");
}
