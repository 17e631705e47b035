// SPDX-License-Identifier: MIT OR GPL-2.0
/*
 * A management bus (MDIO) of the kernel whose devices are played by a process,
 * for tests of what uses the ioctls of linux/mii.h.
 *
 *   process under test ─ ioctl ─► mii0 ─► the kernel's PHY library ─► this bus
 *                                                                        │
 *   process that plays ◄─ read(/dev/miibus): who, which register ────────┤
 *                      ── write: the answer ─────────────────────────────┘
 *
 * The device mii0 has a PHY at address 5, which is answered here, so that the
 * PHY library has one to hold. All other addresses are the process's; nobody is
 * there while no process has /dev/miibus open: reads are ones.
 */
#include <linux/etherdevice.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/phy.h>
#include <linux/platform_device.h>
#include <linux/uaccess.h>
#include <linux/wait.h>

enum { OWN_PHY = 5, ASK_READ = 0, ASK_WRITE = 1, ASK_STOP = 2, PATIENCE = 10 * HZ };

/* What a process reads; in native byte order. */
struct access {
	__u16 op, phy, reg, value;
};

/* What it writes: ASK_STOP in op ends its own read, anything else is an answer. */
struct answer {
	__u16 op, failed, value, unused;
};

static enum { IDLE, ASKED, TAKEN, ANSWERED } stage;
static struct access asked;
static struct answer answered;
static bool played, stopping;
static DEFINE_SPINLOCK(lock);
static DECLARE_WAIT_QUEUE_HEAD(changed);

/* The bus's lock is held: one access at a time. */
static int ask(u16 op, int phy, int reg, u16 value)
{
	int ret;

	if (phy == OWN_PHY)
		return op == ASK_READ && reg == MII_BMSR ? BMSR_ANEGCAPABLE | BMSR_100FULL : 0;
	spin_lock(&lock);
	if (!played) {
		spin_unlock(&lock);
		return op == ASK_READ ? 0xffff : 0;
	}
	asked = (struct access){ op, phy, reg, value };
	stage = ASKED;
	spin_unlock(&lock);
	wake_up_all(&changed);
	wait_event_timeout(changed, READ_ONCE(stage) == ANSWERED || !READ_ONCE(played), PATIENCE);
	spin_lock(&lock);
	ret = stage != ANSWERED ? -ETIMEDOUT : answered.failed ? -EIO : answered.value;
	stage = IDLE;
	spin_unlock(&lock);
	return ret;
}

static int bus_read(struct mii_bus *bus, int phy, int reg)
{
	return ask(ASK_READ, phy, reg, 0);
}

static int bus_write(struct mii_bus *bus, int phy, int reg, u16 value)
{
	int ret = ask(ASK_WRITE, phy, reg, value);

	return ret < 0 ? ret : 0;
}

static int play_open(struct inode *inode, struct file *file)
{
	int ret = 0;

	spin_lock(&lock);
	if (played)
		ret = -EBUSY;
	played = true;
	stopping = false;
	spin_unlock(&lock);
	return ret;
}

static int play_release(struct inode *inode, struct file *file)
{
	WRITE_ONCE(played, false);
	wake_up_all(&changed);
	return 0;
}

static ssize_t play_read(struct file *file, char __user *to, size_t n, loff_t *at)
{
	struct access a;

	if (n < sizeof(a))
		return -EINVAL;
	if (wait_event_interruptible(changed, READ_ONCE(stage) == ASKED || READ_ONCE(stopping)))
		return -ERESTARTSYS;
	if (stopping)
		return 0;
	spin_lock(&lock);
	a = asked;
	stage = TAKEN;
	spin_unlock(&lock);
	return copy_to_user(to, &a, sizeof(a)) ? -EFAULT : sizeof(a);
}

static ssize_t play_write(struct file *file, const char __user *from, size_t n, loff_t *at)
{
	struct answer a;

	if (n != sizeof(a) || copy_from_user(&a, from, sizeof(a)))
		return -EINVAL;
	spin_lock(&lock);
	if (a.op == ASK_STOP) {
		stopping = true;
	} else if (stage == TAKEN) {
		answered = a;
		stage = ANSWERED;
	}
	spin_unlock(&lock);
	wake_up_all(&changed);
	return n;
}

static const struct file_operations play_ops = {
	.owner = THIS_MODULE,
	.open = play_open,
	.release = play_release,
	.read = play_read,
	.write = play_write,
};

static struct miscdevice play = { .minor = MISC_DYNAMIC_MINOR, .name = "miibus", .fops = &play_ops };

static netdev_tx_t swallow(struct sk_buff *skb, struct net_device *dev)
{
	dev_kfree_skb(skb);
	return NETDEV_TX_OK;
}

static const struct net_device_ops device_ops = {
	.ndo_start_xmit = swallow,
	.ndo_eth_ioctl = phy_do_ioctl, /* as drivers of cards have it */
};

static void device_setup(struct net_device *dev)
{
	ether_setup(dev);
	dev->netdev_ops = &device_ops;
	eth_hw_addr_random(dev);
}

static void no_link(struct net_device *dev)
{
}

/* The PHY library asks a device's parent for its driver. */
static int miibus_probe(struct platform_device *self)
{
	struct net_device *dev = alloc_netdev(0, "mii0", NET_NAME_USER, device_setup);
	struct mii_bus *bus = mdiobus_alloc();
	struct phy_device *phy;
	int ret;

	if (!bus || !dev)
		return -ENOMEM;
	SET_NETDEV_DEV(dev, &self->dev);
	bus->name = "miibus";
	bus->parent = &self->dev;
	bus->read = bus_read;
	bus->write = bus_write;
	bus->phy_mask = ~0; /* nobody is looked for */
	snprintf(bus->id, MII_BUS_ID_SIZE, "miibus");
	ret = mdiobus_register(bus);
	if (ret)
		return ret;
	phy = phy_device_create(bus, OWN_PHY, 0x01234567, false, NULL);
	if (IS_ERR(phy))
		return PTR_ERR(phy);
	ret = phy_device_register(phy) ?: register_netdev(dev);
	if (ret)
		return ret;
	return phy_connect_direct(dev, phy, no_link, PHY_INTERFACE_MODE_GMII);
}

static struct platform_driver driver = { .driver = { .name = "miibus" }, .probe = miibus_probe };

static int __init miibus_init(void)
{
	int ret = misc_register(&play) ?: platform_driver_register(&driver);

	if (ret)
		return ret;
	return PTR_ERR_OR_ZERO(platform_device_register_simple("miibus", -1, NULL, 0));
}

module_init(miibus_init); /* and no end: a guest lives for one test */
MODULE_DESCRIPTION("a management bus played by a process, for tests");
MODULE_LICENSE("Dual MIT/GPL");
