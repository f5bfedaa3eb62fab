//go:build !nri_0_8

package main

import (
	"context"

	"github.com/containerd/nri/pkg/adaptation"
	"google.golang.org/protobuf/proto"
)

var methods = map[string]method{
	"RunPodSandbox":        event((*adaptation.Adaptation).RunPodSandbox),
	"UpdatePodSandbox":     answered((*adaptation.Adaptation).UpdatePodSandbox),
	"PostUpdatePodSandbox": event((*adaptation.Adaptation).PostUpdatePodSandbox),
	"StopPodSandbox":       event((*adaptation.Adaptation).StopPodSandbox),
	"RemovePodSandbox":     event((*adaptation.Adaptation).RemovePodSandbox),
	"CreateContainer":      answered((*adaptation.Adaptation).CreateContainer),
	"PostCreateContainer":  event((*adaptation.Adaptation).PostCreateContainer),
	"StartContainer":       event((*adaptation.Adaptation).StartContainer),
	"PostStartContainer":   event((*adaptation.Adaptation).PostStartContainer),
	"UpdateContainer":      answered((*adaptation.Adaptation).UpdateContainer),
	"PostUpdateContainer":  event((*adaptation.Adaptation).PostUpdateContainer),
	"StopContainer":        answered((*adaptation.Adaptation).StopContainer),
	"RemoveContainer":      event((*adaptation.Adaptation).RemoveContainer),
}

// event is a method without a response.
func event[Q any, PQ message[Q]](call func(*adaptation.Adaptation, context.Context, PQ) error) method {
	return func(ctx context.Context, runtime *adaptation.Adaptation, encoded []byte) (proto.Message, error) {
		request := PQ(new(Q))
		if err := proto.Unmarshal(encoded, request); err != nil {
			return nil, err
		}
		return nil, call(runtime, ctx, request)
	}
}
