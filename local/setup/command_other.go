//go:build !unix

package setup

import "os/exec"

// killTree leaves it at what package exec does when the command's context ends: the command is killed. What npm, go and the
// CDK app have started ends by itself when they are gone.
func killTree(*exec.Cmd) {}
