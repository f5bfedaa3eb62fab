//! Messages → types of OCI → the same messages.

use std::fmt::Debug;

use nri_plugin::adjust::{Namespace, Rlimit, SeccompAction, SeccompOperator};
use nri_plugin::api;
use oci_spec::runtime as oci;
use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

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
