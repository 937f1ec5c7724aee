package target

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"chaosgate/pkg/intercept"
)

// Outside is where traffic and probes come from, as the end of a link.
const Outside = "outside"

// Link is a connection path from one service (or Outside) to a service, or to one of its ports.
type Link struct {
	From string `json:"from"`
	To   string `json:"to"`
	// The instances at its ends; empty where all of a service are meant.
	FromInstance string `json:"from_instance,omitempty"`
	ToInstance   string `json:"to_instance,omitempty"`
	// Port is one of the callee's, by its name; empty where all are meant.
	Port string `json:"port,omitempty"`
}

// String is "service-a -> service-b", or with the instances and the port that are meant "service-a-1 -> service-b-2:sql".
func (l Link) String() string {
	text := cmp.Or(l.FromInstance, l.From) + " -> " + cmp.Or(l.ToInstance, l.To)
	if l.Port != "" {
		text += ":" + l.Port
	}
	return text
}

// AllPorts is the link to all ports of the callee.
func (l Link) AllPorts() Link {
	l.Port = ""
	return l
}

// Overlaps says whether something can pass both links: they have the same ends, and not each a port of its own.
func (l Link) Overlaps(other Link) bool {
	return l.AllPorts() == other.AllPorts() && (l.Port == "" || other.Port == "" || l.Port == other.Port)
}

// LinkFault is what is done to the bytes or connections of a link, in the field's terms. Zero fields do nothing.
type LinkFault struct {
	Latency   Duration `json:"latency,omitempty,omitzero"` // added per direction named by Direction
	Jitter    Duration `json:"jitter,omitempty,omitzero"`
	Bandwidth int64    `json:"bandwidth,omitempty"` // bytes per second, each direction
	Partition bool     `json:"partition,omitempty"` // nothing passes; connections hang
	Reset     bool     `json:"reset,omitempty"`     // connections are reset, existing and new
	Direction string   `json:"direction,omitempty"` // "both" (default), "request", "response"
	// Of single packets the parts, from 0 to 1, that are lost, have a bit changed, are not held by Latency and so overtake others, or arrive twice. They take CanPackets.
	Loss      float64 `json:"loss,omitempty"`
	Corrupt   float64 `json:"corrupt,omitempty"`
	Reorder   float64 `json:"reorder,omitempty"`
	Duplicate float64 `json:"duplicate,omitempty"`
	// HTTP is done to requests of the callee's port named http. It takes CanRequests, and has the link to itself: see Beside.
	HTTP intercept.Fault `json:"http,omitzero"`
}

// Beside says whether a fault can be put on a link together with those that are on it, by name; one of its own name it replaces.
func (f LinkFault) Beside(name string, on map[string]LinkFault) error {
	for _, other := range slices.Sorted(maps.Keys(on)) {
		if other != name && (f.HTTP.On() || on[other].HTTP.On()) {
			return fmt.Errorf("%s is on it already, and a fault on HTTP requests has a link to itself", other)
		}
	}
	return nil
}

// LinkStats is what a link has carried for its callers; round trips are not in it.
type LinkStats struct {
	Connections int64 `json:"connections"`
	BytesIn     int64 `json:"bytes_in"`          // from the caller
	BytesOut    int64 `json:"bytes_out"`         // to the caller
	Limited     int64 `json:"limited,omitempty"` // pieces of it that a limit on the bandwidth held back for a millisecond or longer
	// Where the target deals with packets: how many the fault met, how many of them were lost, changed, let overtake or doubled, and how many passed by because there were too many.
	Packets int64 `json:"packets,omitempty"`
	Changed int64 `json:"changed,omitempty"`
	Missed  int64 `json:"missed,omitempty"`
	// Of a fault on HTTP requests: how many there were, how many of them met it, and how many connections passed that do not speak HTTP/1.x.
	Requests int64 `json:"requests,omitempty"`
	Hit      int64 `json:"hit,omitempty"`
	Foreign  int64 `json:"foreign,omitempty"`
}

// Linker puts faults on links, also on connections that already exist.
type Linker interface {
	LinkRestorer
	// Links answers the links that targets have to the peer; with to empty, all links from and to them. With a port they lead to that port of the callee alone, and with to
	// empty they are those to the targets. A target that has none is an error.
	Links(targets []Target, to, port string) ([]Link, error)
	// Ref names a link so that another process finds it.
	Ref(Link) Ref
	// ArmLink readies what Impair needs, so that the fault itself is a message. It is idempotent, and nothing that anybody on the link can feel.
	ArmLink(ctx context.Context, l Link, name string, f LinkFault) error
	// Impair puts a fault on a link under a name; the same name again replaces it.
	Impair(ctx context.Context, l Link, name string, f LinkFault) error
	// Stats counts what passes the link. Only the difference of two answers means something, and only while the fault of this name is on the link.
	Stats(ctx context.Context, l Link, name string) (LinkStats, error)
	// RoundTrip measures one request over the link, as its caller would see it: a GET of the callee's readiness path, or to a port that is not named http the handshake, as the
	// function RoundTrip does it. What it takes to begin with it is not measured, and has no part in within. A refused connection, or ErrUnanswered, comes with the time that it took.
	RoundTrip(ctx context.Context, l Link, within time.Duration) (time.Duration, error)
	// Ask is RoundTrip that tells what the answer was, too.
	Ask(ctx context.Context, l Link, within time.Duration) (Answer, error)
}

// LinkRestorer takes faults off links, also from a fresh process.
type LinkRestorer interface {
	// Restore removes a fault and verifies that it is gone; it is idempotent.
	Restore(ctx context.Context, l Link, name string) error
	// Impaired reads back which names are on a link, sorted. A runtime that has links to single ports tells of faults on those that overlap as well, with the link: "slow on a -> b:sql".
	Impaired(ctx context.Context, l Link) ([]string, error)
}

// FindLinks answers those of an environment's links, which are to all ports, that Linker.Links means. A target that has none is an error, also beside others that have one. The
// answer is sorted.
func FindLinks(all []Link, targets []Target, to, port string) ([]Link, error) {
	var found []Link
	for _, t := range targets {
		before := len(found)
		for _, l := range all {
			from := l.From == t.Service && (l.FromInstance == "" || l.FromInstance == t.Instance)
			into := l.To == t.Service && (l.ToInstance == "" || l.ToInstance == t.Instance)
			if to != "" && from && l.To == to || to == "" && (into || from && port == "") {
				l.Port = port
				found = append(found, l)
			}
		}
		switch none := len(found) == before; {
		case none && to != "":
			return nil, NoLink(Link{From: t.Service, To: to}, all)
		case none && port != "":
			return nil, fmt.Errorf("no link leads to %s, and so to its port %s; there are %s", t.Service, port, linkNames(all))
		case none:
			return nil, fmt.Errorf("%s has no links; there are %s", t.Service, linkNames(all))
		}
	}
	slices.SortFunc(found, compareLinks)
	return slices.Compact(found), nil
}

// NoLink is the error that says which links there are instead.
func NoLink(l Link, all []Link) error {
	return fmt.Errorf("there is no link from %s to %s; there are %s", l.From, l.To, linkNames(all))
}

func compareLinks(a, b Link) int {
	return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To), cmp.Compare(a.FromInstance, b.FromInstance), cmp.Compare(a.ToInstance, b.ToInstance), cmp.Compare(a.Port, b.Port))
}

func linkNames(all []Link) string {
	if len(all) == 0 {
		return "none"
	}
	var names []string
	for _, l := range slices.SortedFunc(slices.Values(all), compareLinks) {
		names = append(names, l.String())
	}
	return strings.Join(names, ", ")
}
