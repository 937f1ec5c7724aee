package spec

import (
	"fmt"

	"gopkg.in/yaml.v3"
)

// UnmarshalYAML takes one name or a list.
func (n *Names) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		*n = Names{node.Value}
		return nil
	}
	return node.Decode((*[]string)(n))
}

// UnmarshalYAML takes an expression, or a mapping.
func (p *Promql) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		p.Query = node.Value
		return nil
	}
	type plain Promql
	return node.Decode((*plain)(p))
}

// UnmarshalYAML takes "embedded", a URL, or a mapping.
func (p *Prometheus) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		p.URL = node.Value
		return nil
	}
	type plain Prometheus
	return node.Decode((*plain)(p))
}

// UnmarshalYAML keeps the order of the file.
func (o *OrderedEnvironments) UnmarshalYAML(node *yaml.Node) error {
	o.ByName = map[string]Environment{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		var e Environment
		if err := node.Content[i+1].Decode(&e); err != nil {
			return fmt.Errorf("environment %s: %w", node.Content[i].Value, err)
		}
		o.Names = append(o.Names, node.Content[i].Value)
		o.ByName[node.Content[i].Value] = e
	}
	return nil
}
