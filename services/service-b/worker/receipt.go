package worker

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
)

// receipt proves that the order was worked on: SHA-256 applied rounds times to its id. It is the part of the work that
// needs the processor, as the database is the part that needs the disk. It ends early, with the context's error, when
// nobody waits for it any more.
func receipt(ctx context.Context, id string, rounds int) (string, error) {
	const step = 1000 // rounds between looks at the context, some 0.1 ms
	sum := sha256.Sum256([]byte(id))
	for n := 1; n < rounds; n++ {
		if n%step == 0 && ctx.Err() != nil {
			return "", ctx.Err()
		}
		sum = sha256.Sum256(sum[:])
	}
	return hex.EncodeToString(sum[:]), nil
}
