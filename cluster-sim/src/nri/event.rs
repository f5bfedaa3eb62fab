//! Events by name, by bit and by what they bring.

use super::api::Event;

impl Event {
    /// All events, by number.
    pub const ALL: [Self; 14] = [
        Self::RunPodSandbox,
        Self::StopPodSandbox,
        Self::RemovePodSandbox,
        Self::CreateContainer,
        Self::PostCreateContainer,
        Self::StartContainer,
        Self::PostStartContainer,
        Self::UpdateContainer,
        Self::PostUpdateContainer,
        Self::StopContainer,
        Self::RemoveContainer,
        Self::UpdatePodSandbox,
        Self::PostUpdatePodSandbox,
        Self::ValidateContainerAdjustment,
    ];

    /// The name of the call that is its own; empty for the two values that are no event.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown | Self::Last => "",
            Self::RunPodSandbox => "RunPodSandbox",
            Self::StopPodSandbox => "StopPodSandbox",
            Self::RemovePodSandbox => "RemovePodSandbox",
            Self::CreateContainer => "CreateContainer",
            Self::PostCreateContainer => "PostCreateContainer",
            Self::StartContainer => "StartContainer",
            Self::PostStartContainer => "PostStartContainer",
            Self::UpdateContainer => "UpdateContainer",
            Self::PostUpdateContainer => "PostUpdateContainer",
            Self::StopContainer => "StopContainer",
            Self::RemoveContainer => "RemoveContainer",
            Self::UpdatePodSandbox => "UpdatePodSandbox",
            Self::PostUpdatePodSandbox => "PostUpdatePodSandbox",
            Self::ValidateContainerAdjustment => "ValidateContainerAdjustment",
        }
    }

    /// Its bit in a mask; 0 for the two values that are no event.
    pub const fn bit(self) -> i32 {
        match self {
            Self::Unknown | Self::Last => 0,
            event => 1 << (event as i32 - 1),
        }
    }

    /// Whether it has had a call of its own from the first version on that knows it; `StateChange` brings the others
    /// before 0.12.
    pub const fn has_answer(self) -> bool {
        matches!(
            self,
            Self::CreateContainer
                | Self::UpdateContainer
                | Self::StopContainer
                | Self::UpdatePodSandbox
                | Self::ValidateContainerAdjustment
        )
    }

    /// Whether it is about a pod alone.
    pub const fn is_of_pod(self) -> bool {
        matches!(
            self,
            Self::RunPodSandbox
                | Self::StopPodSandbox
                | Self::RemovePodSandbox
                | Self::UpdatePodSandbox
                | Self::PostUpdatePodSandbox
        )
    }
}
