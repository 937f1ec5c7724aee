package impair

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// batch is changes that the kernel makes together or not at all.
type batch struct {
	family   uint8 // of the tables that are meant
	messages []netlink.Message
	errs     []error
}

func text(kind uint16, value string) netlink.Attribute {
	return netlink.Attribute{Type: kind, Data: append([]byte(value), 0)}
}

func number(kind uint16, value int32) netlink.Attribute {
	return netlink.Attribute{Type: kind, Data: binary.BigEndian.AppendUint32(nil, uint32(value))}
}

// nested puts attributes into one.
func (b *batch) nested(kind uint16, attrs ...netlink.Attribute) netlink.Attribute {
	data, err := netlink.MarshalAttributes(attrs)
	b.errs = append(b.errs, err)
	return netlink.Attribute{Type: unix.NLA_F_NESTED | kind, Data: data}
}

// header is struct nfgenmsg.
func header(family uint8, resource uint16) []byte {
	return binary.BigEndian.AppendUint16([]byte{family, unix.NFNETLINK_V0}, resource)
}

func message(family uint8, kind uint16, flags netlink.HeaderFlags, attrs ...netlink.Attribute) netlink.Message {
	data, _ := netlink.MarshalAttributes(attrs) // it fails only if one is larger than 64 KiB
	return netlink.Message{
		Header: netlink.Header{Type: netlink.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | kind), Flags: flags},
		Data:   append(header(family, 0), data...),
	}
}

func (b *batch) add(kind uint16, flags netlink.HeaderFlags, attrs ...netlink.Attribute) {
	b.messages = append(b.messages, message(b.family, kind, netlink.Request|netlink.Acknowledge|flags, attrs...))
}

// table adds a table that ends with its connection.
func (b *batch) table(name string) {
	b.add(unix.NFT_MSG_NEWTABLE, netlink.Create|netlink.Excl, text(unix.NFTA_TABLE_NAME, name), number(unix.NFTA_TABLE_FLAGS, tableOwner))
}

// chain adds a chain of a kind ("filter", "nat") at a hook.
func (b *batch) chain(table, name, kind string, hook, priority int32) {
	b.add(unix.NFT_MSG_NEWCHAIN, netlink.Create, text(unix.NFTA_CHAIN_TABLE, table), text(unix.NFTA_CHAIN_NAME, name),
		b.nested(unix.NFTA_CHAIN_HOOK, number(unix.NFTA_HOOK_HOOKNUM, hook), number(unix.NFTA_HOOK_PRIORITY, priority)),
		text(unix.NFTA_CHAIN_TYPE, kind))
}

// aside adds a chain at no hook.
func (b *batch) aside(table, name string) {
	b.add(unix.NFT_MSG_NEWCHAIN, netlink.Create, text(unix.NFTA_CHAIN_TABLE, table), text(unix.NFTA_CHAIN_NAME, name))
}

func (b *batch) rule(table, chain string, exprs []expr.Any) {
	var list []netlink.Attribute
	for _, e := range exprs {
		data, err := expr.Marshal(b.family, e)
		b.errs = append(b.errs, err)
		list = append(list, netlink.Attribute{Type: unix.NLA_F_NESTED | unix.NFTA_LIST_ELEM, Data: data})
	}
	b.add(unix.NFT_MSG_NEWRULE, netlink.Create|netlink.Append, text(unix.NFTA_RULE_TABLE, table), text(unix.NFTA_RULE_CHAIN, chain),
		b.nested(unix.NFTA_RULE_EXPRESSIONS, list...))
}

// commit makes the changes and waits for the kernel's word on each.
func (b *batch) commit(conn *netlink.Conn) error {
	if err := errors.Join(b.errs...); err != nil {
		return err
	}
	edge := func(kind netlink.HeaderType) netlink.Message {
		return netlink.Message{Header: netlink.Header{Type: kind, Flags: netlink.Request}, Data: header(unix.NFPROTO_UNSPEC, unix.NFNL_SUBSYS_NFTABLES)}
	}
	all := append([]netlink.Message{edge(unix.NFNL_MSG_BATCH_BEGIN)}, b.messages...)
	if err := conn.SetDeadline(time.Now().Add(kernelAnswer)); err != nil {
		return err
	}
	if _, err := conn.SendMessages(append(all, edge(unix.NFNL_MSG_BATCH_END))); err != nil {
		return err
	}
	for range b.messages {
		if _, err := conn.Receive(); err != nil {
			return fmt.Errorf("the kernel refuses: %w", err)
		}
	}
	return nil
}
