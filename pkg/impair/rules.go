package impair

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// What a table is made of.
const (
	tableOwner   = 0x2 // NFT_TABLE_F_OWNER: the table goes with the socket that has made it
	arrival      = "arrival"
	refusal      = "refusal"
	prerouting   = 0 // the hooks, by their NF_INET numbers
	localIn      = 1
	localOut     = 3
	early        = -300 // before connections are tracked
	earliest     = early - 1
	usual        = 0
	kernelAnswer = 5 * time.Second // how long the kernel may take
)

// table is the rules of a fault, in a table of each family. They are the property of its connection: nobody else can change them, and they end with it.
type table struct {
	conn     *netlink.Conn
	name     string
	families []uint8
	rules    int
	gone     bool
}

// install makes the rules that hand the link's packets to a queue, with those that a fault takes beyond that.
func install(l Link, f Fault, queue uint16) (*table, error) {
	families := []uint8{unix.NFPROTO_INET}
	if f.Double > 0 {
		families = doubling
		if err := canDouble(); err != nil {
			return nil, fmt.Errorf("put the fault on the link (that takes a Linux whose nftables can send packets twice, NFT_DUP_IPV4 and NFT_DUP_IPV6): %w", err)
		}
	}
	way, err := wayTo(queue, families[0])
	if err != nil {
		return nil, fmt.Errorf("put the fault on the link (that takes Linux 5.12 with nftables and NFQUEUE): %w", err)
	}
	t, err := dialTable(families...)
	if err != nil {
		return nil, err
	}
	if err := t.fill(l, f, way); err != nil {
		return nil, errors.Join(fmt.Errorf("put the fault on the link: %w", err), t.conn.Close())
	}
	return t, nil
}

// dialTable makes a connection that will own a table of its own name. Its port is drawn, too: one that the kernel gives may just have been another's, whose end would then take
// our table along.
func dialTable(families ...uint8) (*table, error) {
	port := drawPort()
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{PID: port})
	if err != nil {
		return nil, err
	}
	return &table{conn: conn, name: fmt.Sprintf("chaos-%08x", port), families: families}, nil
}

// drawPort answers a netlink port that nobody else has, as good as certainly: the kernel's own begin with the process's number or are negative.
func drawPort() uint32 { return 1<<30 | rand.Uint32N(1<<30) }

// wayTo finds which of the two ways this kernel has to hand packets over. They are tried without a hook: the end of a hook drops what other faults hold.
func wayTo(queue uint16, family uint8) (expr.Any, error) {
	ways := []expr.Any{
		&expr.Queue{Num: queue, Flag: expr.QueueFlagBypass},
		&expr.Target{Name: "NFQUEUE", Rev: 3, Info: handOver(queue)},
	}
	var errs []error
	for _, way := range ways {
		err := try(family, way)
		if err == nil {
			return way, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// try sees whether the kernel takes a rule, in a table that ends at once.
func try(family uint8, does ...expr.Any) error {
	t, err := dialTable(family)
	if err != nil {
		return err
	}
	b := &batch{family: family}
	b.table(t.name)
	b.aside(t.name, arrival)
	b.rule(t.name, arrival, does)
	return errors.Join(b.commit(t.conn), t.conn.Close())
}

// handOver is struct xt_NFQ_info_v3: the queue, one of one, and that packets pass where nobody listens to it.
func handOver(queue uint16) *xt.Unknown {
	const bypass = 1
	b := make([]byte, 8)
	binary.NativeEndian.PutUint16(b[0:], queue)
	binary.NativeEndian.PutUint16(b[2:], 1)
	binary.NativeEndian.PutUint16(b[4:], bypass)
	info := xt.Unknown(b)
	return &info
}

// fill makes the table with all its rules, and reads back that they are there.
func (t *table) fill(l Link, f Fault, way expr.Any) error {
	b := &batch{}
	for _, b.family = range t.families {
		t.rules += b.rulesIn(t.name, l, f, way)
	}
	if err := b.commit(t.conn); err != nil {
		return err
	}
	return t.whole()
}

// rulesIn adds the table of a family with its rules, and answers how many.
func (b *batch) rulesIn(table string, l Link, f Fault, way expr.Any) (rules int) {
	b.table(table)
	when, then, priority := int32(prerouting), int32(localIn), int32(early)
	if l.Side == Replies {
		when, then = localOut, localOut
	}
	if f.Double > 0 {
		priority = earliest // so that other faults meet both of two
	}
	b.chain(table, arrival, "filter", when, priority)
	if f.Double > 0 {
		rules += b.double(table, arrival)
	}
	rules += b.rulesOf(table, arrival, l, []uint8{unix.IPPROTO_TCP, unix.IPPROTO_UDP}, &expr.Counter{}, way)
	if f.Reset {
		b.chain(table, refusal, "filter", then, usual) // a reset is sent after the packet was counted
		rules += b.refuse(table, l)
	}
	return rules
}

// refuse adds the rules that reset connections and answers how many. The first packet of a connection passes, so that its caller sees a reset and not that nobody listens; and
// the reset itself.
func (b *batch) refuse(table string, l Link) int {
	return b.rulesOf(table, refusal, l, []uint8{unix.IPPROTO_TCP}, append(flagsAre(synFlag|resetFlag, 0), &expr.Counter{}, &expr.Reject{Type: unix.NFT_REJECT_TCP_RST})...)
}

// The flags of TCP.
const synFlag, resetFlag, ackFlag = 0x02, 0x04, 0x10

// flagsAre selects packets of TCP by those of some flags that they have.
func flagsAre(some, has byte) []expr.Any {
	const flagsAt = 13
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: flagsAt, Len: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 1, Mask: []byte{some}, Xor: []byte{0}},
		is([]byte{has}),
	}
}

// whole reads back whether all rules are there.
func (t *table) whole() error {
	if t.gone {
		return errors.New("the fault was taken off the link")
	}
	n, err := t.count()
	if err == nil && n != t.rules {
		err = fmt.Errorf("%d of the fault's %d rules are there", n, t.rules)
	}
	return err
}

// count answers how many rules the table has now.
func (t *table) count() (all int, err error) {
	for _, family := range t.families {
		n, err := t.countIn(family)
		if err != nil {
			return 0, err
		}
		all += n
	}
	return all, nil
}

func (t *table) countIn(family uint8) (int, error) {
	m := message(family, unix.NFT_MSG_GETRULE, netlink.Request|netlink.Dump, text(unix.NFTA_RULE_TABLE, t.name))
	if err := t.conn.SetDeadline(time.Now().Add(kernelAnswer)); err != nil {
		return 0, err
	}
	rules, err := t.conn.Execute(m)
	if errors.Is(err, unix.ENOENT) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read back the fault: %w", err)
	}
	return len(rules), nil
}

// empty takes all rules out of some chains, without any named out of all, so that nothing more is handed over.
func (t *table) empty(chains ...string) error {
	if t.gone {
		return nil
	}
	b := &batch{}
	for _, b.family = range t.families {
		for _, c := range chains {
			b.add(unix.NFT_MSG_DELRULE, 0, text(unix.NFTA_RULE_TABLE, t.name), text(unix.NFTA_RULE_CHAIN, c))
		}
		if len(chains) == 0 {
			b.add(unix.NFT_MSG_DELRULE, 0, text(unix.NFTA_RULE_TABLE, t.name))
		}
	}
	return b.commit(t.conn)
}

// remove ends the table with its connection, and verifies that it has ended.
func (t *table) remove() error {
	if t.gone {
		return nil
	}
	b := &batch{}
	for _, b.family = range t.families {
		b.add(unix.NFT_MSG_DELTABLE, 0, text(unix.NFTA_TABLE_NAME, t.name))
	}
	err := b.commit(t.conn)
	if err == nil {
		var n int
		if n, err = t.count(); n > 0 {
			err = fmt.Errorf("%d rules of the fault are still there", n)
		}
	}
	t.gone = err == nil
	return errors.Join(err, t.conn.Close())
}
