// Command chaos decides, before code ships, whether a system survives failure.
//
// This package only wires: one file per command, one for all registry tables (wire.go), one for exit codes (exit.go), one for all wording (text.go).
// It reaches the operating system through one struct (system.go), and the process ends only here.
package main

import "os"

func main() { os.Exit(runMain(ownSystem())) }
