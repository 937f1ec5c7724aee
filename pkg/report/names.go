package report

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// maxName is how long a name of a file may get here: with what is put before and behind it, it stays below the 255 bytes of common file systems.
const maxName = 100

// FileName is an experiment's name as the name of a file or folder: the folder of its logs below logs/, and its working directory. A name that can be one stays
// as it is; any other (a matrix combination such as "a[delay=1s,to=b/c]") has its other characters replaced and ends in a part of its hash, so that different
// experiments never share a folder. The result is never empty and never begins with a dot.
func FileName(experiment string) string {
	safe := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' || r == '_' {
			return r
		}
		return '_'
	}, experiment)
	if safe == experiment && len(safe) <= maxName && safe != "" && safe[0] != '.' {
		return safe
	}
	sum := sha256.Sum256([]byte(experiment))
	return strings.TrimLeft(safe[:min(len(safe), maxName)], ".") + "-" + hex.EncodeToString(sum[:4])
}

// LogPath is where the log of a service is, from the folder of the run.
func LogPath(experiment, service string) string {
	return "logs/" + FileName(experiment) + "/" + service + ".log"
}
