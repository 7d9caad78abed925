#include "net/lpm.h"

#include <errno.h>
#include <stdlib.h>

/* One change replaces at most a path and a branch. */
#define PATH_MAX_NODES 130

static bool
reserve(struct lpm_node ***array, size_t *size, size_t needed)
{
	struct lpm_node **grown;
	size_t next = *size ? *size : 256;

	if (needed <= *size)
		return true;
	while (next < needed)
		next *= 2;
	grown = realloc(*array, next * sizeof(**array));
	if (!grown)
		return false;
	*array = grown;
	*size = next;
	return true;
}

static struct lpm_key
key_masked(struct lpm_key key, unsigned int prefix_len)
{
	if (prefix_len < 64)
		key.high = prefix_len ? key.high & ~(UINT64_MAX >> prefix_len) : 0;
	if (prefix_len < 128)
		key.low = prefix_len > 64 ? key.low & ~(UINT64_MAX >> (prefix_len - 64)) : 0;
	return key;
}

static unsigned int
common_bits(struct lpm_key a, struct lpm_key b, unsigned int max)
{
	unsigned int bits = 128;

	if (a.high != b.high)
		bits = (unsigned int)__builtin_clzll(a.high ^ b.high);
	else if (a.low != b.low)
		bits = 64 + (unsigned int)__builtin_clzll(a.low ^ b.low);
	return bits < max ? bits : max;
}

static struct lpm_node *
node_new(struct lpm *lpm, struct lpm_key key, unsigned int prefix_len, void *value)
{
	struct lpm_node *node = calloc(1, sizeof(*node));

	if (!node)
		return NULL;
	node->key = key_masked(key, prefix_len);
	node->prefix_len = (uint8_t)prefix_len;
	node->epoch = lpm->epoch;
	node->value = value;
	if (value)
		lpm->hold(value);
	return node;
}

static void
node_free(struct lpm *lpm, struct lpm_node *node)
{
	if (node->value)
		lpm->drop(node->value, lpm->context);
	free(node);
}

/* Nodes of this epoch were never published. */
static void
node_discard(struct lpm *lpm, struct lpm_node *node)
{
	if (node->epoch == lpm->epoch)
		node_free(lpm, node);
	else
		lpm->garbage[lpm->garbage_count++] = node;
}

/* Makes *link a node that may be written. */
static struct lpm_node *
node_own(struct lpm *lpm, struct lpm_node **link)
{
	struct lpm_node *old = *link, *copy;

	if (old->epoch == lpm->epoch)
		return old;
	copy = node_new(lpm, old->key, old->prefix_len, old->value);
	if (!copy)
		return NULL;
	copy->child[0] = old->child[0];
	copy->child[1] = old->child[1];
	*link = copy;
	node_discard(lpm, old);
	return copy;
}

static void
node_value_set(struct lpm *lpm, struct lpm_node *node, void *value)
{
	void *old = node->value;

	if (value)
		lpm->hold(value);
	node->value = value;
	if (old)
		lpm->drop(old, lpm->context);
}

/* A node for the prefix at *link, where no node of it is: in front of what is there, or beside it below a branch. */
static int
insert_at(struct lpm *lpm, struct lpm_node **link, struct lpm_key key, unsigned int prefix_len, void *value,
	  unsigned int common)
{
	struct lpm_node *leaf = node_new(lpm, key, prefix_len, value), *there = *link, *branch = NULL;

	if (!leaf)
		return -ENOMEM;
	if (!there) {
		*link = leaf;
		return 0;
	}
	if (common == prefix_len) {
		leaf->child[lpm_key_bit(there->key, prefix_len)] = there;
		*link = leaf;
		return 0;
	}
	branch = node_new(lpm, key, common, NULL);
	if (!branch) {
		node_free(lpm, leaf);
		return -ENOMEM;
	}
	branch->child[lpm_key_bit(key, common)] = leaf;
	branch->child[lpm_key_bit(there->key, common)] = there;
	*link = branch;
	return 0;
}

static int
insert(struct lpm *lpm, struct lpm_node **link, struct lpm_key key, unsigned int prefix_len, void *value)
{
	unsigned int common = 0;

	while (*link) {
		struct lpm_node *node = *link;
		unsigned int shorter = prefix_len < node->prefix_len ? prefix_len : node->prefix_len;

		common = common_bits(key, node->key, shorter);
		if (common < node->prefix_len)
			break;
		node = node_own(lpm, link);
		if (!node)
			return -ENOMEM;
		if (node->prefix_len == prefix_len) {
			node_value_set(lpm, node, value);
			return 0;
		}
		link = &node->child[lpm_key_bit(key, node->prefix_len)];
	}
	return insert_at(lpm, link, key, prefix_len, value, common);
}

/* The prefix is there. */
static int
remove_present(struct lpm *lpm, struct lpm_node **link, struct lpm_key key, unsigned int prefix_len)
{
	struct lpm_node **parent_link = NULL, *parent, *node;

	while ((*link)->prefix_len != prefix_len) {
		node = node_own(lpm, link);
		if (!node)
			return -ENOMEM;
		parent_link = link;
		link = &node->child[lpm_key_bit(key, node->prefix_len)];
	}
	node = *link;
	if (node->child[0] && node->child[1]) {
		node = node_own(lpm, link);
		if (!node)
			return -ENOMEM;
		node_value_set(lpm, node, NULL);
		return 0;
	}
	*link = node->child[0] ? node->child[0] : node->child[1];
	node_discard(lpm, node);
	if (*link || !parent_link || (*parent_link)->value)
		return 0;
	/* A branch with one side left. */
	parent = *parent_link;
	*parent_link = parent->child[0] ? parent->child[0] : parent->child[1];
	node_discard(lpm, parent);
	return 0;
}

void
lpm_init(struct lpm *lpm, void (*hold)(void *), void (*drop)(void *value, void *context), void *context)
{
	*lpm = (struct lpm){ .epoch = 1, .hold = hold, .drop = drop, .context = context };
}

void
lpm_fini(struct lpm *lpm)
{
	lpm_reclaim(lpm);
	free(lpm->garbage);
	free(lpm->garbage_trees);
}

void *
lpm_get(const struct lpm_node *root, struct lpm_key key, unsigned int prefix_len)
{
	while (root && root->prefix_len <= prefix_len && lpm_key_matches(key, root->key, root->prefix_len)) {
		if (root->prefix_len == prefix_len)
			return root->value;
		root = root->child[lpm_key_bit(key, root->prefix_len)];
	}
	return NULL;
}

int
lpm_set(struct lpm *lpm, struct lpm_node **root, struct lpm_key key, unsigned int prefix_len, void *value)
{
	if (!reserve(&lpm->garbage, &lpm->garbage_size, lpm->garbage_count + PATH_MAX_NODES))
		return -ENOMEM;
	if (value)
		return insert(lpm, root, key, prefix_len, value);
	if (!lpm_get(*root, key, prefix_len))
		return 0;
	return remove_present(lpm, root, key, prefix_len);
}

int
lpm_discard(struct lpm *lpm, struct lpm_node **root)
{
	if (!*root)
		return 0;
	if (!reserve(&lpm->garbage_trees, &lpm->garbage_tree_size, lpm->garbage_tree_count + 1))
		return -ENOMEM;
	lpm->garbage_trees[lpm->garbage_tree_count++] = *root;
	*root = NULL;
	return 0;
}

void
lpm_seal(struct lpm *lpm)
{
	lpm->epoch++;
}

/* Recursion ends after 129 levels: prefixes grow downwards. */
static void
tree_free(struct lpm *lpm, struct lpm_node *node)
{
	if (!node)
		return;
	tree_free(lpm, node->child[0]);
	tree_free(lpm, node->child[1]);
	node_free(lpm, node);
}

void
lpm_reclaim(struct lpm *lpm)
{
	for (size_t i = 0; i < lpm->garbage_count; i++)
		node_free(lpm, lpm->garbage[i]);
	lpm->garbage_count = 0;
	for (size_t i = 0; i < lpm->garbage_tree_count; i++)
		tree_free(lpm, lpm->garbage_trees[i]);
	lpm->garbage_tree_count = 0;
}
