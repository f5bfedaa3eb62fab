//go:build nri_0_8

package main

import (
	"context"

	"github.com/containerd/nri/pkg/adaptation"
	"google.golang.org/protobuf/proto"
)

var methods = map[string]method{
	"RunPodSandbox":       event((*adaptation.Adaptation).RunPodSandbox),
	"StopPodSandbox":      event((*adaptation.Adaptation).StopPodSandbox),
	"RemovePodSandbox":    event((*adaptation.Adaptation).RemovePodSandbox),
	"CreateContainer":     answered((*adaptation.Adaptation).CreateContainer),
	"PostCreateContainer": event((*adaptation.Adaptation).PostCreateContainer),
	"StartContainer":      event((*adaptation.Adaptation).StartContainer),
	"PostStartContainer":  event((*adaptation.Adaptation).PostStartContainer),
	"UpdateContainer":     answered((*adaptation.Adaptation).UpdateContainer),
	"PostUpdateContainer": event((*adaptation.Adaptation).PostUpdateContainer),
	"StopContainer":       answered((*adaptation.Adaptation).StopContainer),
	"RemoveContainer":     event((*adaptation.Adaptation).RemoveContainer),
}

// event is a method without a response. Before NRI 0.12 they all take one message, in which the pod and the container
// stand elsewhere than in the requests of the newest, which are those of the input.
func event(call func(*adaptation.Adaptation, context.Context, *adaptation.StateChangeEvent) error) method {
	return func(ctx context.Context, runtime *adaptation.Adaptation, encoded []byte) (proto.Message, error) {
		// The requests of all events are this one by their fields.
		var request adaptation.CreateContainerRequest
		if err := proto.Unmarshal(encoded, &request); err != nil {
			return nil, err
		}
		change := &adaptation.StateChangeEvent{Pod: request.Pod, Container: request.Container}
		return nil, call(runtime, ctx, change)
	}
}
