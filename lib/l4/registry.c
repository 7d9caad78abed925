#include "l4/registry.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <xxhash.h>

#define BUCKETS 4096 /* a power of two */

struct service_entry {
	struct l4_service_key key;
	uint32_t holders; /* generations and targets; 0: the number is free */
	uint16_t next;    /* in its bucket; 0: the last */
};

struct target_entry {
	uint32_t holders; /* generations */
	uint32_t next;
	uint32_t unused; /* how often in a row nobody was seen to use it */
};

struct maglev_entry {
	struct maglev_entry *next;
	uint32_t holders;
	size_t count;
	struct balance_server *servers; /* with their keys behind them */
	struct balance_maglev *table;
};

struct l4_registry {
	struct l4_target *targets; /* L4_TARGETS_MAX, untouched pages until used */
	struct target_entry target_entries[L4_TARGETS_MAX];
	struct service_entry services[L4_SERVICES_MAX + 1];
	uint32_t target_buckets[BUCKETS];
	uint16_t service_buckets[BUCKETS];
	uint32_t target_last; /* given out last */
	uint32_t target_high; /* the highest ever */
	uint16_t service_last;
	struct maglev_entry *tables;
	struct upstream_weights weights;
};

struct l4_registry *
l4_registry_new(void)
{
	struct l4_registry *registry = calloc(1, sizeof(*registry));

	if (!registry)
		return NULL;
	registry->targets = mmap(NULL, L4_TARGETS_MAX * sizeof(struct l4_target), PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (registry->targets == MAP_FAILED) {
		free(registry);
		return NULL;
	}
	return registry;
}

void
l4_registry_free(struct l4_registry *registry)
{
	if (!registry)
		return;
	assert(!registry->tables); /* a generation is still there */
	upstream_weights_clear(&registry->weights);
	munmap(registry->targets, L4_TARGETS_MAX * sizeof(struct l4_target));
	free(registry);
}

const struct l4_target *
l4_registry_targets(const struct l4_registry *registry)
{
	return registry->targets;
}

/* ---- services ---- */

static uint16_t *
service_bucket(struct l4_registry *registry, const struct l4_service_key *key)
{
	uint64_t facts = (uint64_t)key->port_first << 32 | (uint64_t)key->port_last << 16 | key->ip_protocol;

	return &registry->service_buckets[XXH64(key->ip.bytes, sizeof(key->ip.bytes), facts) % BUCKETS];
}

static bool
same_service(const struct l4_service_key *a, const struct l4_service_key *b)
{
	return ip_address_equal(&a->ip, &b->ip) && a->port_first == b->port_first && a->port_last == b->port_last &&
	       a->ip_protocol == b->ip_protocol;
}

static uint16_t
service_free_number(const struct l4_registry *registry)
{
	uint16_t id = registry->service_last;

	for (uint32_t i = 0; i < L4_SERVICES_MAX; i++) {
		id = id == L4_SERVICES_MAX ? 1 : (uint16_t)(id + 1);
		if (registry->services[id].holders == 0)
			return id;
	}
	return 0;
}

uint16_t
l4_registry_service_get(struct l4_registry *registry, const struct l4_service_key *key)
{
	uint16_t *bucket = service_bucket(registry, key), id = *bucket;

	while (id && !same_service(&registry->services[id].key, key))
		id = registry->services[id].next;
	if (!id) {
		id = service_free_number(registry);
		if (!id)
			return 0;
		registry->service_last = id;
		registry->services[id] = (struct service_entry){ .key = *key, .next = *bucket };
		*bucket = id;
	}
	registry->services[id].holders++;
	return id;
}

void
l4_registry_service_put(struct l4_registry *registry, uint16_t id)
{
	struct service_entry *entry = &registry->services[id];
	uint16_t *link = service_bucket(registry, &entry->key);

	assert(entry->holders > 0);
	if (--entry->holders > 0)
		return;
	while (*link != id)
		link = &registry->services[*link].next;
	*link = entry->next;
}

/* ---- targets ---- */

static uint32_t *
target_bucket(struct l4_registry *registry, const struct l4_target *target)
{
	uint64_t facts = (uint64_t)target->server.port_be << 16 | target->service_id;

	return &registry->target_buckets[XXH64(target->server.ip.bytes, sizeof(target->server.ip.bytes), facts) %
					 BUCKETS];
}

/* The service's number stands for its address, ports and protocol. */
static bool
same_target(const struct l4_target *a, const struct l4_target *b)
{
	return endpoint_equal(&a->server, &b->server) && a->service_id == b->service_id &&
	       a->forwarder == b->forwarder && ip_address_equal(&a->local, &b->local) && a->options == b->options &&
	       a->gue_port_be == b->gue_port_be && a->mss_max == b->mss_max && a->timeout_s == b->timeout_s;
}

static uint32_t
target_free_number(const struct l4_registry *registry)
{
	uint32_t number = registry->target_last;

	for (uint32_t i = 1; i < L4_TARGETS_MAX; i++) {
		number = number == L4_TARGETS_MAX - 1 ? 1 : number + 1;
		if (!registry->targets[number].forwarder)
			return number;
	}
	return L4_TARGET_NONE;
}

static uint32_t
target_add(struct l4_registry *registry, const struct l4_target *model, uint32_t *bucket)
{
	uint32_t number = target_free_number(registry);

	if (number == L4_TARGET_NONE)
		return number;
	registry->target_last = number;
	if (number > registry->target_high)
		registry->target_high = number;
	registry->targets[number] = *model;
	registry->target_entries[number] = (struct target_entry){ .next = *bucket };
	*bucket = number;
	registry->services[model->service_id].holders++;
	return number;
}

uint32_t
l4_registry_target_get(struct l4_registry *registry, const struct l4_target *model)
{
	uint32_t *bucket = target_bucket(registry, model), number = *bucket;

	assert(model->forwarder && registry->services[model->service_id].holders > 0);
	while (number && !same_target(&registry->targets[number], model))
		number = registry->target_entries[number].next;
	if (!number)
		number = target_add(registry, model, bucket);
	if (number)
		registry->target_entries[number].holders++;
	return number;
}

void
l4_registry_target_put(struct l4_registry *registry, uint32_t number)
{
	assert(registry->target_entries[number].holders > 0);
	registry->target_entries[number].holders--;
}

const struct l4_service_key *
l4_registry_service_key(const struct l4_registry *registry, uint16_t id)
{
	return &registry->services[id].key;
}

void
l4_registry_restore(struct l4_registry *registry, uint32_t number, const struct l4_target *model,
		    const struct l4_service_key *key)
{
	struct service_entry *service = &registry->services[model->service_id];
	uint32_t *bucket = target_bucket(registry, model);
	uint16_t *services;

	assert(!registry->targets[number].forwarder);
	if (service->holders == 0) {
		services = service_bucket(registry, key);
		*service = (struct service_entry){ .key = *key, .next = *services };
		*services = model->service_id;
	}
	service->holders++;
	registry->targets[number] = *model;
	registry->target_entries[number] = (struct target_entry){ .next = *bucket };
	*bucket = number;
	registry->target_last = number;
	if (number > registry->target_high)
		registry->target_high = number;
}

static void
target_remove(struct l4_registry *registry, uint32_t number)
{
	uint32_t *link = target_bucket(registry, &registry->targets[number]);

	while (*link != number)
		link = &registry->target_entries[*link].next;
	*link = registry->target_entries[number].next;
	l4_registry_service_put(registry, registry->targets[number].service_id);
	registry->targets[number] = (struct l4_target){ 0 };
}

static bool
has_flows(struct l4_worker *const *workers, uint32_t worker_count, uint32_t number)
{
	for (uint32_t i = 0; i < worker_count; i++)
		if (__atomic_load_n(&l4_worker_use(workers[i])[number].flows, __ATOMIC_ACQUIRE))
			return true;
	return false;
}

void
l4_registry_collect(struct l4_registry *registry, struct l4_worker *const *workers, uint32_t worker_count)
{
	for (uint32_t number = 1; number <= registry->target_high; number++) {
		struct target_entry *entry = &registry->target_entries[number];

		if (!registry->targets[number].forwarder)
			continue;
		if (entry->holders || has_flows(workers, worker_count, number))
			entry->unused = 0;
		else if (++entry->unused == L4_UNUSED_BEFORE_COLLECTED)
			target_remove(registry, number);
	}
}

void
l4_registry_each_target(const struct l4_registry *registry, void (*each)(void *context, const struct l4_target *target),
			void *context)
{
	for (uint32_t number = 1; number <= registry->target_high; number++)
		if (registry->targets[number].forwarder)
			each(context, &registry->targets[number]);
}

/* ---- Maglev tables ---- */

static bool
same_servers(const struct maglev_entry *entry, const struct balance_server *servers, size_t count)
{
	if (entry->count != count)
		return false;
	for (size_t i = 0; i < count; i++)
		if (entry->servers[i].weight != servers[i].weight || entry->servers[i].key_len != servers[i].key_len ||
		    memcmp(entry->servers[i].key, servers[i].key, servers[i].key_len) != 0)
			return false;
	return true;
}

static void
maglev_entry_free(struct maglev_entry *entry)
{
	if (entry)
		free(entry->table);
	free(entry);
}

/* The servers and their keys are behind the entry. */
static struct maglev_entry *
maglev_entry_new(const struct balance_server *servers, size_t count, size_t table_size)
{
	size_t keys_len = 0;
	struct maglev_entry *entry;
	char *key;

	for (size_t i = 0; i < count; i++)
		keys_len += servers[i].key_len;
	entry = calloc(1, sizeof(*entry) + count * sizeof(*servers) + keys_len);
	if (!entry)
		return NULL;
	entry->count = count;
	entry->servers = (struct balance_server *)(entry + 1);
	key = (char *)(entry->servers + count);
	for (size_t i = 0; i < count; i++) {
		memcpy(key, servers[i].key, servers[i].key_len);
		entry->servers[i] = servers[i];
		entry->servers[i].key = key;
		key += servers[i].key_len;
	}
	entry->table = aligned_alloc(64, (table_size + 63) / 64 * 64);
	if (!entry->table) {
		maglev_entry_free(entry);
		return NULL;
	}
	return entry;
}

int
l4_registry_maglev_get(struct l4_registry *registry, const struct balance_server *servers, size_t count,
		       const struct balance_maglev **out)
{
	const struct balance_method *method = balance_method_find("maglev", strlen("maglev"));
	size_t size = method->table_size(servers, count, 0, 0);
	struct maglev_entry *entry;
	int error;

	for (entry = registry->tables; entry; entry = entry->next)
		if (same_servers(entry, servers, count)) {
			entry->holders++;
			*out = entry->table;
			return 0;
		}
	if (size == 0)
		return -EINVAL;
	entry = maglev_entry_new(servers, count, size);
	if (!entry)
		return -ENOMEM;
	error = method->build(entry->table, entry->servers, count, 0, 0);
	if (error < 0) {
		maglev_entry_free(entry);
		return error;
	}
	entry->holders = 1;
	entry->next = registry->tables;
	registry->tables = entry;
	*out = entry->table;
	return 0;
}

void
l4_registry_maglev_put(struct l4_registry *registry, const struct balance_maglev *table)
{
	struct maglev_entry **link = &registry->tables, *entry;

	while (*link && (*link)->table != table)
		link = &(*link)->next;
	entry = *link;
	assert(entry);
	if (--entry->holders > 0)
		return;
	*link = entry->next;
	maglev_entry_free(entry);
}

/* ---- weights ---- */

struct upstream_weights *
l4_registry_weights(struct l4_registry *registry)
{
	return &registry->weights;
}
