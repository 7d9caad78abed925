/*
 * Which of DPDK's installed drivers takes a PCI device, by what each says of itself in its shared object
 * (PMD_INFO_STRING, RTE_PMD_REGISTER_PCI_TABLE; what dpdk-pmdinfo.py prints). No driver is loaded.
 */
#ifndef WEIRCTL_DOCTOR_PMD_H
#define WEIRCTL_DOCTOR_PMD_H

#include <stddef.h>

struct pmd_list;

/* Of the drivers below `root`/usr/lib. NULL: out of memory. */
struct pmd_list *pmd_list_new(const char *root);
void pmd_list_free(struct pmd_list *list);
/* The driver's name, "" when none knows the device. `list` may be NULL. */
void pmd_find(const struct pmd_list *list, long long vendor, long long device, char *out, size_t size);

#endif
